"""The programmable core, one component a file."""

"""Commands on a machine."""

"""What software needs to run a compiled program on a machine: an image of its memory, descriptors of its edges, and a driver in C."""

"""Commands on a network or a program of it."""

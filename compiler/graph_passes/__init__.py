"""Passes from IR to IR, one a file."""

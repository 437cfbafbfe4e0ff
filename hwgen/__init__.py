"""Amaranth RTL of an accelerator, generated from an architecture graph."""

"""Tiles of micro-programs over rows and images."""

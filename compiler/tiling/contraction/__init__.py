"""Tiles of convolutions and matrix products."""

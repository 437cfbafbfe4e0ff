"""Tiles of movements."""

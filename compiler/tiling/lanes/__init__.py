"""Tiles of element-wise operators and pools."""

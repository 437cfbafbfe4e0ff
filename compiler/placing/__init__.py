"""Addresses of buffers."""

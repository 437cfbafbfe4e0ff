"""Operators that move elements or interpolate between them, by definition."""

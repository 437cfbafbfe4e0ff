"""Operators that move data, and Resize."""

"""Operators that reduce channels, rows or groups, by definition."""

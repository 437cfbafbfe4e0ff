"""Operators that exporters write as several: a formula each, and what becomes of it."""

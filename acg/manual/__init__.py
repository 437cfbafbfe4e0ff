"""A machine for readers: its manual, and what it amounts to in numbers."""

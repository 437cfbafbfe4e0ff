"""On-chip memories and their ports."""

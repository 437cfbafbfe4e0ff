"""Commands that say where the cycles go and what would help."""

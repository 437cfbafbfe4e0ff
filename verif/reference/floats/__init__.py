"""Float operations that nothing quantises in between, by definition."""

"""Rules of lowering: what each matches, what it makes, and the order of its arithmetic."""

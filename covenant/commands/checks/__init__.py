"""Commands that look for faults of ours: campaigns, mutants, other people's tests."""

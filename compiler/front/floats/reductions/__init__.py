"""Pools, sums and averages of floats that nothing has quantised."""

"""The covenant: one architecture graph, and everything derived from it."""

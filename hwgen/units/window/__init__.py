"""The window unit: a line buffer, taps, a tree a lane."""

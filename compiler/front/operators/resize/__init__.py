"""Resize: nearest neighbours are a movement, interpolations convolutions of few phases or weighted sums, axis by axis."""

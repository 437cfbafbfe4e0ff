"""Blocks that units are made of: address generators, float32 arithmetic."""

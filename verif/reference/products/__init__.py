"""Sums of products by definition: convolutions and matrix products, their weights, what joins them before they are rounded."""

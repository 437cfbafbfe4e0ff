"""The matrix unit and its two organisations."""

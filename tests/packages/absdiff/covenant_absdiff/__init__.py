"""A kind of engine for covenant: sums of absolute differences over channels."""

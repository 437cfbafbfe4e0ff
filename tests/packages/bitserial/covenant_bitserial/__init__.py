"""A kind of engine for covenant: matrix products, a bit of the activations a cycle."""

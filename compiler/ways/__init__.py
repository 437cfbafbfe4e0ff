"""Several ways to compile a network: what is decided, how they fit, who looks for better ones."""

"""What an operator's inner loops are on vectors of a core: one family of operators a file. `compiler.kernels.vectorise` has contractions."""

"""Structure-aware fuzzing: small valid networks of every supported operator, and changes that keep a file well formed but not valid."""

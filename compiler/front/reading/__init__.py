"""A file becomes a model of one opset, checked and cleaned."""

"""One module for each family of operators; `compiler.front.import_onnx` drives them."""

"""Reading ONNX networks: one module for each family of operators; `compiler.passes.import_onnx` drives them."""

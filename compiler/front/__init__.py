"""Reading ONNX networks: from a file to the IR; `compiler.read_network` is the list of passes."""

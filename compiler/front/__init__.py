"""Reading ONNX networks: from a file to the IR; `compiler.front.read_network` is the list of passes."""

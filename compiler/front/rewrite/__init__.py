"""What exporters write in other words becomes the operator that it is, ONNX to ONNX."""

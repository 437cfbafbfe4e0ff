"""ONNX networks to instructions of any architecture graph."""

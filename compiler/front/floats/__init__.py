"""Float results between DequantizeLinear and QuantizeLinear."""

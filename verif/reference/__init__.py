"""What a quantised ONNX network computes, by definition, in numpy: the witness that owes nothing to the compiler.

It evaluates the ONNX graph itself. DequantizeLinear -> operator -> QuantizeLinear is the quantised operator:

* Conv, Gemm, MatMul: exact integer sums modulo 2^32 of (x - zero) * (w - zero) plus the int32 bias, then
  scale = float32(float32(s_x * s_w) / s_y), y = saturate(round_half_even(float32(float32(sum) * scale)) + zero).
* Add: float32((a - zero) * s_a) + float32((b - zero) * s_b), one float32 sum, a float32 division by s_y, round half even.
* AveragePool, GlobalAveragePool over n elements: int32 sum of (x - zero), scale = float32(s_x / float32(s_y * n)), then as Conv.
* MaxPool, Relu and Clip before a QuantizeLinear: on the integers, as quantisation keeps order.
* any function of one tensor: float32, then QuantizeLinear by definition.

Against onnxruntime 1.32 (session.qdqisint8allowed, AVX512-VNNI; figures in tests/verif/test_golden.py): sums of products and
MaxPool are equal. Add differs in a few of 10^5 elements, by one step: onnxruntime multiplies by precomputed ratios of the scales.
GlobalAveragePool is equal. AveragePool is equal unless s_x / s_y times 1 / n makes exact halves (equal scales, windows of 2 or 4):
onnxruntime rounds *after* it has added the zero point, so that with an odd zero point a half goes the other way (one step, in up
to 8% of the elements of such a layer); ONNX's QuantizeLinear rounds before, and so do we.
"""

from verif.reference.evaluate import Reference

__all__ = ["Reference"]

"""What a quantised ONNX network computes, by definition, in numpy: the witness that owes nothing to the compiler.

It evaluates the ONNX graph itself. DequantizeLinear -> operator -> QuantizeLinear is the quantised operator:

* Conv, Gemm, MatMul, by constants or of two computed tensors: exact integer sums modulo 2^32 of (x - zero) * (w - zero) plus the int32 bias, then
  scale = float32(float32(s_x * s_w) / s_y), y = saturate(round_half_even(float32(float32(sum) * scale)) + zero). Weights whose scales vary along
  the reduction (blocks): a float32 sum of such sums, verif.reference.products.weights.
* Add: float32((a - zero) * s_a) + float32((b - zero) * s_b), one float32 sum, a float32 division by s_y, round half even.
* AveragePool, GlobalAveragePool over n elements: int32 sum of (x - zero), scale = float32(s_x / float32(s_y * n)), then as Conv.
* MaxPool, Relu and Clip before a QuantizeLinear: on the integers, as quantisation keeps order.
* any function of one tensor, or of several (Sub, Sum, Mul, Min, Max, PRelu): float32 in ONNX's order, then QuantizeLinear by definition. Div by a
  computed tensor is a product with its float32 reciprocals, Mean of n a product with float32(1 / n): verif.reference.floats.elementwise.
* BatchNormalization, ReduceMean, ReduceSum, ReduceMax: verif.reference.floats.elementwise; linear Resize: verif.reference.movement.resize.
* data movement: onnx.reference moves the numbers of the elements, and each element keeps its state until it is quantised; Resize to the nearest
  neighbour by the operator's text. ConvTranspose: each input element adds its multiple of the kernel, then as Conv. verif.reference.movement.movement.
* Softmax, LayerNormalization: integer sums, then float32 in the order that verif.reference.rows.normalise states; LogSoftmax: verif.reference.rows.log_softmax.
  Softmax of float numbers that nothing has quantised, masked or not: verif.reference.rows.fine_softmax.

Against onnxruntime 1.32 (session.qdqisint8allowed, AVX512-VNNI; the tests in tests/verif/test_golden.py count again):

    operators                                   elements   different   steps   cause
    Conv, Gemm, MatMul (+ Relu), MaxPool         249,484           0
    MatMul of two computed tensors               393,216           0           scores and contexts of the transformer encoders
    Add                                          407,988           2       1   it multiplies by precomputed ratios of the scales
    AveragePool                                  144,864       1,519       1   exact halves, see below
    GlobalAveragePool                              5,624           0
    Relu, Clip, LeakyRelu of one tensor          181,568           0
    Add, Sub, Mul, Min, Max, PRelu, decomposed   335,880           0           of computed tensors and constants, broadcast too
    Sum, Mean, additions with nothing between  3,276,800           0
    Div of computed tensors                    9,830,250           2       1   the reciprocal is rounded; see below
    data movement, rescaled and not              357,268           1       1   two roundings merged into one, see below
    Conv, Gemm, MatMul of weights in blocks       67,968           0           it sums in float32, in another order
    ConvTranspose                              1,057,368           2       1   it has float32 kernels only
    BatchNormalization                            50,304          23       1   the addend is rounded to 1/255 of a step
    ReduceMean, ReduceSum, ReduceMax               3,954           0           other networks: at exact halves, as AveragePool
    Resize, linear                                 5,760         278       1   exact halves, as its scale is kept; none with another
    Softmax                                      722,400          92       1   exponentials of 16 or 24 bits here; and see below
    LogSoftmax                                   279,828          24       1   the same exponentials
    LayerNormalization                           722,400         119       1   other order of the float32 operations

AveragePool differs where s_x / s_y / n makes exact halves, as equal scales and windows of 2 or 4 do (up to a quarter of the elements
of such a layer), and only there: onnxruntime rounds *after* it has added the zero point, so that with an odd zero point a half goes
the other way, and it sums in float32, so that a half may be none. ONNX's QuantizeLinear rounds before it adds, and so do we.

Div of computed tensors is counted for all pairs of bytes but zero over zero, which is the zero point here and NaN there, the lowest integer on
x86. A number over zero saturates by its sign in both. Where scales are short decimals, quotients of small integers are halves of steps: 667 of
3,932,100 elements differ then, by one step.

Softmax is counted with onnxruntime's optimisations off. With them it puts QLinearSoftmax in place of the three nodes where it can, a kernel of
its own that rounds down: with a scale of 1/255 a tenth of the elements are a step lower than what Softmax and QuantizeLinear define.

onnxruntime also merges two pairs of QuantizeLinear and DequantizeLinear in a row into one and so loses the rounding of the first, and
runs float kernels where it has none for the types (int8 and uint8 activations mixed, Relu or Clip that its quantisation does not make
superfluous); there too the definition above is what the network says. Intermediates that are asked for keep their rounding.
"""

from verif.reference.evaluate import Reference
from verif.reference.values import NoNumberError

__all__ = ["NoNumberError", "Reference"]

"""Which codelet families express which operator."""

from __future__ import annotations

from collections.abc import Callable

from compiler.codelets.base import Codelet
from compiler.codelets.binary import binary
from compiler.codelets.blockwise import blockwise
from compiler.codelets.contraction import contraction
from compiler.codelets.depthwise import depthwise
from compiler.codelets.elementwise import addition, lookup
from compiler.codelets.movement import movement
from compiler.codelets.pooling import average, average_as_contraction, largest
from compiler.codelets.product import product
from compiler.codelets.reduction import reduction, reduction_as_contraction
from compiler.codelets.rows.arg_max import arg_max
from compiler.codelets.rows.deviation import centred_quotient, variance
from compiler.codelets.rows.expression import expression
from compiler.codelets.rows.fine_softmax import fine_softmax
from compiler.codelets.rows.floats import quotient, sum_of_several
from compiler.codelets.rows.group_norm import group_normalization
from compiler.codelets.rows.interpolation import interpolation
from compiler.codelets.rows.local_response import local_response
from compiler.codelets.rows.log_softmax import log_softmax
from compiler.codelets.rows.rms_norm import mean_square, rms_normalization, root_quotient
from compiler.codelets.rows.rowwise import layer_normalization, softmax
from compiler.codelets.sliding import sliding_convolution, sliding_largest
from compiler.ir.network import Network, Node
from compiler.outside import brought

#: Operator to families, preferred first; a family returns None where it does not apply.
FAMILIES: dict[str, tuple[Callable[[Node, Network], Codelet | None], ...]] = {
    "Conv": (sliding_convolution, depthwise, contraction),
    "BlockwiseConv": (blockwise,),
    "MaxPool": (sliding_largest, largest),
    "AveragePool": (average, average_as_contraction),
    "GlobalAveragePool": (average, average_as_contraction),
    "Add": (addition,),
    "Unary": (lookup,),
    "Binary": (binary,),
    "Reduction": (reduction, reduction_as_contraction),
    "Sum": (sum_of_several,),
    "Quotient": (quotient,),
    "Expression": (expression,),
    "MatMul": (product,),
    "FineSoftmax": (fine_softmax,),
    "Softmax": (softmax,),
    "LogSoftmax": (log_softmax,),
    "LayerNormalization": (layer_normalization,),
    "Variance": (variance,),
    "ArgMax": (arg_max,),
    "Interpolation": (interpolation,),
    "LRN": (local_response,),
    "GroupNormalization": (group_normalization,),
    "RMSNormalization": (rms_normalization,),
    "MeanSquare": (mean_square,),
    "RootQuotient": (root_quotient,),
    "CentredQuotient": (centred_quotient,),
    "Reshape": (movement,),
    "Move": (movement,),
}


def candidates(node: Node, network: Network) -> tuple[Codelet, ...]:
    """Codelets that compute `node`, the preferred one first; a later pass takes the first that the machine can run."""
    made = (family(node, network) for family in FAMILIES.get(node.op) or brought().families[node.op])
    return tuple(codelet for codelet in made if codelet is not None)

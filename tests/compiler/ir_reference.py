"""What an IR graph computes, in plain numpy written for these tests alone, and a run of a compiled program on the ISS beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acg.footprint import Footprints
from acg.graph import Graph
from acg.predictor import predict
from compiler.host import pack_inputs, unpack_outputs
from compiler.ir.blockwise import BlockwiseConv
from compiler.ir.elementwise import Binary, Reduction
from compiler.ir.expression import Expression
from compiler.ir.fine_softmax import FineSoftmax
from compiler.ir.floats import Quotient, Sum
from compiler.ir.interpolation import Interpolation
from compiler.ir.matmul import MatMul
from compiler.ir.network import NUMPY_TYPES, Add, Conv, Move, Network, Node, Reshape, Unary, averaging_scales
from compiler.ir.pools import AveragePool, GlobalAveragePool, MaxPool
from compiler.ir.rowwise import ArgMax, CentredQuotient, LayerNormalization, Softmax, Variance
from compiler.program import Program
from tests.compiler.ir_elementwise_reference import binary, reduction
from tests.compiler.ir_floats_reference import expression, quotient, sum_of_several
from tests.compiler.ir_interpolation_reference import interpolated
from tests.compiler.ir_normalise_reference import NORMALISING, normalised
from tests.compiler.ir_rowwise_reference import rowwise
from verif.hazards import find_hazards
from verif.iss.simulator import Simulator


def _window(x, kernel, strides, dilations, pads, out, fill):
    """Windows (N, C, OH, OW, KH, KW) of x, positions outside it hold `fill`."""
    n, c, h, w = x.shape
    need = [(out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(2)]
    after = [max(0, need[i] - pads[i] - (h, w)[i]) for i in range(2)]
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], after[0]), (pads[1], after[1])), constant_values=fill)
    result = np.empty((n, c, *out, *kernel), x.dtype)
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            rows = slice(ky * dilations[0], ky * dilations[0] + (out[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(kx * dilations[1], kx * dilations[1] + (out[1] - 1) * strides[1] + 1, strides[1])
            result[..., ky, kx] = padded[:, :, rows, columns]
    return result


def _round(value, zero, low, high, dtype):
    return np.clip(np.rint(value.astype(np.float64)) + zero, low, high).astype(NUMPY_TYPES[dtype])


def _node(node: Node, graph: Network, values: dict[str, np.ndarray]) -> np.ndarray:
    a, y = node.attrs, graph.tensors[node.outputs[0]]
    x = values[node.inputs[0]]
    if isinstance(a, BlockwiseConv):
        total = None
        for number, scale in enumerate(a.scales):
            weight = np.where(a.part == number, a.weight.astype(np.int16) - np.int16(a.w_zero), 0).astype(np.int16)
            plain = Conv(weight, None, None, a.x_zero, np.ones(1, np.float32), 0, None, 0, a.strides, a.dilations, a.pads, a.group)
            sums = _node(replace(node, attrs=plain), graph, values).astype(np.float32) * scale[:, None, None]
            total = sums if total is None else total + sums
        total = total if a.addend is None else total + a.addend[:, None, None]
        return _round(total / np.float32(a.y_scale), a.y_zero, a.y_low, a.y_high, y.dtype)
    if isinstance(a, Conv):
        oc, icg, kh, kw = a.weight.shape
        windows = _window(x.astype(np.int64) - a.x_zero, (kh, kw), a.strides, a.dilations, a.pads, y.shape[2:], 0)
        weight = a.weight.astype(np.int64) - a.w_zero
        ocg = oc // a.group
        sums = np.concatenate([
            np.einsum("ncyxkl,ockl->noyx", windows[:, g * icg : (g + 1) * icg], weight[g * ocg : (g + 1) * ocg], optimize=True)
            for g in range(a.group)
        ], axis=1)
        if a.bias is not None:
            sums = sums + a.bias.astype(np.int64)[:, None, None]
        sums = sums.astype(np.uint32).view(np.int32)
        if a.y_scale is None:
            return sums
        return _round(sums.astype(np.float32) * a.scale[:, None, None], a.y_zero, a.y_low, a.y_high, y.dtype)
    if isinstance(a, MaxPool):
        windows = _window(x.astype(np.int64), a.kernel, a.strides, a.dilations, a.pads, y.shape[2:], -1000)
        return np.clip(windows.max((4, 5)), a.y_low, a.y_high).astype(NUMPY_TYPES[y.dtype])
    if isinstance(a, AveragePool | GlobalAveragePool):
        if isinstance(a, AveragePool):
            divisors = np.maximum(a.divisors(x.shape[2:], y.shape[2:]), 1)
            sums = _window(x.astype(np.int64) - a.x_zero, a.kernel, a.strides, a.dilations, a.pads, y.shape[2:], 0).sum((4, 5))
        else:
            divisors = np.full((1, 1), x.shape[2] * x.shape[3])
            sums = (x.astype(np.int64) - a.x_zero).sum((2, 3), keepdims=True)
        scales = [[averaging_scales(a.x_scale, a.y_scale, int(d)) for d in row] for row in divisors]
        multiply, divide = (np.array([[s[i] for s in row] for row in scales], np.float32) for i in range(2))
        return _round((sums.astype(np.float32) * multiply) / divide, a.y_zero, a.y_low, a.y_high, y.dtype)
    if isinstance(a, Add):
        b = values[node.inputs[1]]
        one = (x.astype(np.int32) - a.a_zero).astype(np.float32) * np.float32(a.a_scale)
        two = (b.astype(np.int32) - a.b_zero).astype(np.float32) * np.float32(a.b_scale)
        return _round((one + two) / np.float32(a.y_scale), a.y_zero, a.y_low, a.y_high, y.dtype)
    if isinstance(a, MatMul):
        m, k, n = a.sizes(x.shape, values[node.inputs[1]].shape)
        left = x.reshape(-1, m, k)[list(a.a_batch)].astype(np.int64) - a.a_zero
        right = values[node.inputs[1]].reshape(-1, k, n)[list(a.b_batch)].astype(np.int64) - a.b_zero
        sums = (left @ right + (0 if a.bias is None else a.bias.astype(np.int64))).astype(np.uint32).view(np.int32).reshape(y.shape)
        return sums if a.y_scale is None else _round(sums.astype(np.float32) * np.float32(a.scale), a.y_zero, a.y_low, a.y_high, y.dtype)
    if isinstance(a, Unary):
        return a.table[x.view(np.uint8)].view(NUMPY_TYPES[y.dtype])
    if isinstance(a, Binary | Reduction):
        return (binary if isinstance(a, Binary) else reduction)(node, graph, values)
    if isinstance(a, Sum | Quotient):
        return (sum_of_several if isinstance(a, Sum) else quotient)(node, graph, values)
    if isinstance(a, Expression):
        sums = [_node(replace(node, attrs=t.product, inputs=tuple(node.inputs[i] for i in t.sources)), graph, values) for t in a.sums]
        return expression(node, graph, values, sums)
    if isinstance(a, Move):
        return a.apply([values[name] for name in node.inputs]).reshape(y.shape)
    if isinstance(a, Softmax | FineSoftmax | LayerNormalization | Variance | CentredQuotient):
        return rowwise(node, graph, values)
    if isinstance(a, Interpolation):
        return interpolated(node, graph, values)
    if isinstance(a, NORMALISING):
        return normalised(node, graph, values)
    if isinstance(a, ArgMax):
        found = x.shape[1] - 1 - x[:, ::-1].argmax(1) if a.last else x.argmax(1)
        return found[:, None].astype(NUMPY_TYPES[y.dtype])
    assert isinstance(a, Reshape)
    return x.reshape(y.shape)


def evaluate(graph: Network, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a graph by ONNX name."""
    values = {item.tensor: item.to_device(arrays[item.name], graph.tensors[item.tensor]) for item in graph.inputs}
    for node in graph.nodes:
        values[node.outputs[0]] = _node(node, graph, values)
    return {item.name: item.from_device(values[item.tensor], graph.tensors[item.tensor]) for item in graph.outputs}


def run_on_iss(program: Program, architecture: Graph, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a program on the ISS, memories filled with rubbish first."""
    machine = Simulator(architecture, external_bytes=program.external_bytes)
    rubbish = np.random.default_rng(1)
    for memory in machine.memories.values():
        memory[:] = rubbish.integers(0, 256, memory.size, dtype=np.uint8)
    machine.load_segments(program.image)
    machine.load_segments(pack_inputs(program, arrays))
    machine.run(program.instructions)
    return unpack_outputs(program, machine.read)


def strays(program: Program, architecture: Graph) -> list[str]:
    """Accesses to external memory outside what the memory map (written) or the map and the constants (read) say."""
    external = architecture.external.name
    mapped = [(item.address, item.address + item.size_bytes) for item in program.memory_map if item.memory == external]
    constants = [(address, address + len(data)) for address, data in program.segments]
    footprints = Footprints(architecture)
    allowed = {write: _united(mapped if write else mapped + constants, architecture.external.bus_bytes) for write in (True, False)}
    return [
        f"instruction {number}: {'writes' if access.write else 'reads'} bytes {access.lo_byte} to {access.hi_byte}"
        for number, instruction in enumerate(program.instructions) for access in footprints(instruction)
        if access.memory == external and not any(lo <= access.lo_byte and access.hi_byte <= hi for lo, hi in allowed[access.write])
    ]


def _united(ranges: list[tuple[int, int]], granule: int) -> list[tuple[int, int]]:
    """Stretches that ranges cover together; gaps below a bus word do not count, rows are moved in whole ones."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        high = -(-high // granule) * granule
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], high))
        else:
            result.append((low, high))
    return result


def check_program(graph: Network, program: Program, architecture: Graph, arrays: dict[str, np.ndarray]) -> int:
    """Compare the ISS with the reference, look for hazards on the predicted timeline and for accesses that the memory map does not know; returns the
    predicted cycles."""
    found, expected = run_on_iss(program, architecture, arrays), evaluate(graph, arrays)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array, err_msg=f"{graph.name}: output {name}")
    assert strays(program, architecture) == []
    timeline = predict(architecture, program.instructions)
    hazards = find_hazards(architecture, program.instructions, timeline)
    assert not hazards, "\n".join(map(str, hazards))
    return timeline.total_cycles

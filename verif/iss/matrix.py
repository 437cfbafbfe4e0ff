"""Functional semantics of one matrix instruction on numpy memories."""

from collections.abc import Mapping

import numpy as np

from verif.iss.addresses import centred, walk, wrapped

__all__ = ["execute_matrix"]

#: Most activation elements gathered at once: bounds the float64 working set to 32 MiB.
CHUNK_ELEMENTS = 1 << 22


def execute_matrix(fields: Mapping[str, int], *, rows: int, columns: int, activation: np.ndarray, weight: np.ndarray,
                   accumulator: np.ndarray) -> None:
    """Execute one matrix instruction, changing ``accumulator`` in place.

    For each output-channel block and position, the sum over kernel y, x and input-channel blocks of
    ``(activation - a_zero) @ (weight - w_zero)`` overwrites the accumulator word, or is added to it (``accumulate``),
    modulo 2^32. Differences wrap to 9 bits signed, as in the array.

    Parameters
    ----------
    fields : mapping
        Decoded body fields (true counts).
    rows, columns : int
        Size of the array.
    activation : numpy.ndarray
        uint8, shape [words, rows]: the activation memory in port words.
    weight : numpy.ndarray
        uint8, shape [words, columns].
    accumulator : numpy.ndarray
        int32, shape [words, columns].

    Raises
    ------
    MachineError
        ADDRESS, if an access lies beyond a memory: addresses wrap modulo the power of two that numbers its words, and
        activations out of bounds (virtual padding) are not accessed.
    ValueError
        If two positions of a pass name one accumulator word, which the hardware's pipeline does not allow.
    """
    counts = [fields[f"n_{level}"] for level in range(6)]
    blocks, reduction, positions = counts[0], counts[1] * counts[2] * counts[3], counts[4] * counts[5]

    # In bounds: [k1, k2, k3, p4, p5] from y[k1, p4] and x[k2, p5], flattened to [positions, reduction].
    y = fields["y_origin"] + walk(fields, (1,), "y_step")[:, None] + walk(fields, (4,), "y_step")[None, :]
    x = fields["x_origin"] + walk(fields, (2,), "x_step")[:, None] + walk(fields, (5,), "x_step")[None, :]
    y_inside = (y >= 0) & (y < fields["y_bound"])
    x_inside = (x >= 0) & (x < fields["x_bound"])
    padded = not (y_inside.all() and x_inside.all())

    of_reduction = walk(fields, (1, 2, 3), "a_stride")
    of_position = walk(fields, (4, 5), "a_stride")
    a_values = centred(fields["a_signed"], fields["a_zero"]).astype(np.float64)
    w_values = centred(fields["w_signed"], fields["w_zero"]).astype(np.float64)
    w_addresses = wrapped(fields["w_base"] + np.arange(blocks * reduction * rows, dtype=np.int64), len(weight), "matrix: weight")
    c_offsets = walk(fields, (4, 5), "c_stride")
    chunk = max(1, CHUNK_ELEMENTS // (reduction * rows))

    # Blocks that read the same activations are one product; else one a block.
    shared = fields["a_stride_0"] == 0
    for first_block in range(0, blocks, blocks if shared else 1):
        taken = range(first_block, blocks if shared else first_block + 1)
        words = weight[w_addresses[taken.start * reduction * rows : taken.stop * reduction * rows]]
        matrix = w_values[words].reshape(len(taken), reduction * rows, columns).transpose(1, 0, 2).reshape(reduction * rows, -1)
        sums = np.empty((positions, len(taken), columns), np.int64)
        for low in range(0, positions, chunk):
            some = np.arange(low, min(low + chunk, positions))
            inside = None
            if padded:
                p4, p5 = np.divmod(some, counts[5])
                inside = y_inside[:, None, p4] & x_inside[None, :, p5]
                inside = np.broadcast_to(inside[:, :, None, :], (*counts[1:4], len(some))).reshape(reduction, -1).T
            addresses = fields["a_base"] + fields["a_stride_0"] * first_block + of_position[some][:, None] + of_reduction[None, :]
            addresses = wrapped(addresses, len(activation), "matrix: activation", inside)
            if inside is not None:
                addresses = np.where(inside, addresses, 0)
            gathered = a_values[activation[addresses]]
            if inside is not None:
                gathered *= inside[:, :, None]
            # Exact in float64: each product is below 2^17, so 2^36 of them stay below 2^53.
            product = gathered.reshape(len(some), reduction * rows) @ matrix
            sums[some] = product.reshape(len(some), len(taken), columns)
        for block in taken:
            where = wrapped(fields["c_base"] + fields["c_stride_0"] * block + c_offsets, len(accumulator), "matrix: accumulator")
            if len(np.unique(where)) != positions:
                raise ValueError(f"matrix: {positions} positions name {len(np.unique(where))} accumulator words; expected one each")
            result = sums[:, block - first_block]
            if fields["accumulate"]:
                result = result + accumulator[where]
            accumulator[where] = result.astype(np.int32)

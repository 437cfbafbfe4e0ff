"""Rules of operators that move elements: parts, indices, sizes and repetitions fit what they are taken of."""

from __future__ import annotations

import numpy as np

from compiler.front.validity.facts import Facts, Shape, elements, listed, sizes

#: Most elements of what Resize gives: onnx infers no shape of some sizes that nobody has.
MOST_RESIZED = 1 << 24


def reshape(facts: Facts) -> None:
    """As many elements as there are; at most one size follows from the others."""
    shape, target = facts.shape(0), facts.numbers(1)
    if target is None:
        return
    found = f"shape = {listed(target)}"
    facts.require(all(size >= -1 for size in target) and target.count(-1) <= 1, found, "sizes, one of them -1 at most")
    if shape is None:
        return
    zeros = not facts.attributes.get("allowzero", 0)
    facts.require(not zeros or all(size or index < len(shape) for index, size in enumerate(target)), found, f"0 only in the place of an axis of {sizes(shape)}")
    wanted = [shape[index] if size == 0 and zeros else size for index, size in enumerate(target)]
    rest = elements([size for size in wanted if size != -1])
    whole = elements(shape)
    fits = (rest > 0 and whole % rest == 0) if -1 in wanted else rest == whole
    facts.require(fits, f"{found} for an input of shape {sizes(shape)}", "as many elements")


def expand(facts: Facts) -> None:
    """A shape that broadcasts with the input's."""
    shape, target = facts.shape(0), facts.numbers(1)
    if target is None:
        return
    facts.require(all(size >= 0 for size in target), f"shape = {listed(target)}", "sizes from 0 on")
    if shape is not None:
        pairs = zip(shape[::-1], target[::-1], strict=False)
        facts.require(all(a == b or 1 in (a, b) for a, b in pairs), f"shape = {listed(target)}", f"one that broadcasts with {sizes(shape)}")


def tile(facts: Facts) -> None:
    """One number of repetitions for each axis."""
    shape, repeats = facts.shape(0), facts.numbers(1)
    if repeats is None:
        return
    facts.require(all(number >= 0 for number in repeats), f"repeats = {listed(repeats)}", "numbers from 0 on")
    if shape is not None:
        facts.length("repeats", repeats, len(shape), f"one for each axis of {sizes(shape)}")


def concat(facts: Facts) -> None:
    """An axis, along which alone the shapes differ."""
    axis = facts.attributes.get("axis", 0)
    if facts.node.op_type == "QLinearConcat":
        facts.require((len(facts.node.input) - 2) % 3 == 0, f"{len(facts.node.input)} inputs", "two and three for each operand")
    places = range(2, len(facts.node.input), 3) if facts.node.op_type == "QLinearConcat" else range(len(facts.node.input))
    shapes = [shape for index in places if (shape := facts.shape(index)) is not None]
    for shape in shapes:
        rank = len(shape)
        expected = f"from {-rank} to {rank - 1} for an operand of shape {sizes(shape)}" if rank else "operands with axes"
        facts.require(-rank <= axis < rank, f"axis = {axis}", expected)
        facts.require(len(shape) == len(shapes[0]) and all(a == b for i, (a, b) in enumerate(zip(shape, shapes[0], strict=True)) if i != axis % rank),
                      f"operands of shapes {sizes(shapes[0])} and {sizes(shape)}", f"the same but along axis {axis}")


def split(facts: Facts) -> None:
    """Parts that make the whole, one for each output."""
    shape, parts, axis = facts.shape(0), facts.either("split", 1), facts.attributes.get("axis", 0)
    outputs = len(facts.node.output)
    facts.length("split", parts, outputs, "one for each output")
    facts.require(parts is None or all(size >= 0 for size in parts), f"split = {listed(parts)}", "sizes from 0 on")
    if shape is None:
        return
    facts.require(-len(shape) <= axis < len(shape), f"axis = {axis}", f"from {-len(shape)} to {len(shape) - 1} for an input of shape {sizes(shape)}")
    whole = shape[axis]
    facts.require(parts is None or sum(parts) == whole, f"split = {listed(parts)}", f"parts of {whole} elements")
    if parts is None:
        uneven = facts.attributes.get("num_outputs") is not None
        fits = outputs <= whole and (whole - 1) // -(-whole // outputs) + 1 == outputs if uneven else whole % outputs == 0
        facts.require(bool(fits), f"{whole} elements in {outputs} parts", "parts of one size" + (", but for the last" if uneven else ""))


def slice_(facts: Facts) -> None:
    """As many ends, axes and steps as starts."""
    shape = facts.shape(0)
    starts, ends, axes, steps = (facts.numbers(index) for index in range(1, 5))
    if starts is None:
        return
    for name, numbers in (("ends", ends), ("axes", axes), ("steps", steps)):
        facts.length(name, numbers, len(starts), "as many as starts")
    facts.require(steps is None or 0 not in steps, f"steps = {listed(steps)}", "numbers other than 0")
    if shape is not None:
        facts.axes("axes", axes, len(shape))
        facts.require(axes is not None or len(starts) <= len(shape), f"starts = {listed(starts)}", f"at most {len(shape)}, one for each axis of {sizes(shape)}")


def pad(facts: Facts) -> None:
    """Two numbers for each axis that is padded, and one value."""
    shape, pads, axes = facts.shape(0), facts.either("pads", 1), facts.numbers(3)
    value = facts.shape(2)
    facts.require(value is None or elements(value) == 1, f"a value of shape {sizes(value)}", "one number")
    if shape is None:
        return
    facts.axes("axes", axes, len(shape))
    if axes is not None or not facts.given(3):
        number = len(shape) if axes is None else len(axes)
        facts.length("pads", pads, 2 * number, f"two for each of {number} axes")
    if pads is not None and (axes is not None or not facts.given(3)):
        places = range(len(shape)) if axes is None else axes
        cut = [shape[axis] + min(before, 0) + min(after, 0) for axis, before, after in zip(places, pads, pads[len(pads) // 2 :], strict=False)]
        facts.require(min(cut, default=0) >= 0, f"pads = {listed(pads)} for an input of shape {sizes(shape)}", "no more cut off than there is")


def gather(facts: Facts) -> None:
    """Indices of the axis."""
    shape, indices, axis = facts.shape(0), facts.numbers(1), facts.attributes.get("axis", 0)
    if shape is not None:
        facts.require(bool(shape), f"an input of shape {sizes(shape)}", "an axis to gather along")
    if shape is not None and indices is not None:
        size = shape[axis]
        facts.require(all(-size <= index < size for index in indices), f"indices = {listed(indices)}",
                      f"from {-size} to {size - 1} along axis {axis} of {sizes(shape)}")


def elements_along(facts: Facts) -> None:
    """GatherElements and ScatterElements: indices no larger than the input but along the axis."""
    shape, indices, axis = facts.shape(0), facts.shape(1), facts.attributes.get("axis", 0)
    if shape is None or indices is None:
        return
    found = f"indices of shape {sizes(indices)} for an input of shape {sizes(shape)}"
    facts.require(len(indices) == len(shape) and bool(shape), found, "as many axes")
    fits = all(a <= b for i, (a, b) in enumerate(zip(indices, shape, strict=True)) if i != axis % len(shape))
    facts.require(fits, found, f"no larger sizes but along axis {axis}")
    if facts.node.op_type == "ScatterElements":
        updates = facts.shape(2)
        facts.require(updates is None or updates == indices, f"updates of shape {sizes(updates)}", f"{sizes(indices)}, as the indices have")
    _in_range(facts, shape[axis])


def _in_range(facts: Facts, size: int) -> None:
    indices = facts.numbers(1)
    facts.require(indices is None or all(-size <= index < size for index in indices), f"indices = {listed(indices)}", f"from {-size} to {size - 1}")


def _places(facts: Facts, shape: Shape, indices: Shape, batch: int) -> None:
    """Index rows of GatherND and ScatterND, where they are known."""
    array = facts.arrays[1] if len(facts.arrays) > 1 else None
    if array is None:
        return
    limits = np.array(shape[batch : batch + indices[-1]], np.int64)
    rows = array.reshape(-1, indices[-1])
    facts.require(bool(((rows >= -limits) & (rows < limits)).all()), f"indices = {listed(rows.reshape(-1).tolist())}", f"places of {sizes(shape)}")


def gather_nd(facts: Facts) -> None:
    """GatherND: rows of indices into the axes behind the batches."""
    shape, indices, batch = facts.shape(0), facts.shape(1), facts.attributes.get("batch_dims", 0)
    if shape is None or indices is None:
        return
    found = f"batch_dims = {batch}, indices of shape {sizes(indices)} and an input of shape {sizes(shape)}"
    facts.require(batch < min(len(shape), len(indices)) and shape[:batch] == indices[:batch], found, "the same batches, fewer than axes")
    facts.require(1 <= indices[-1] <= len(shape) - batch, found, "rows of indices for the axes behind the batches")
    _places(facts, shape, indices, batch)


def scatter_nd(facts: Facts) -> None:
    """ScatterND: one update for each row of indices."""
    shape, indices, updates = facts.shape(0), facts.shape(1), facts.shape(2)
    if shape is None or indices is None:
        return
    found = f"indices of shape {sizes(indices)} for an input of shape {sizes(shape)}"
    facts.require(bool(indices) and 1 <= indices[-1] <= len(shape), found, "rows of indices for its axes")
    wanted = (*indices[:-1], *shape[indices[-1] :])
    facts.require(updates is None or updates == wanted, f"updates of shape {sizes(updates)}", sizes(wanted))
    _places(facts, shape, indices, 0)


def compress(facts: Facts) -> None:
    """Compress: a condition for the elements along an axis, or for all."""
    shape, condition, axis = facts.shape(0), facts.shape(1), facts.attributes.get("axis")
    if shape is None or condition is None:
        return
    facts.require(axis is None or -len(shape) <= axis < len(shape), f"axis = {axis}",
                  f"from {-len(shape)} to {len(shape) - 1} for an input of shape {sizes(shape)}")
    most = elements(shape) if axis is None else shape[axis]
    facts.require(len(condition) == 1 and condition[0] <= most, f"a condition of shape {sizes(condition)}", f"at most {most} truth values")


def reverse_sequence(facts: Facts) -> None:
    """ReverseSequence: batch and time are the first two axes."""
    shape, lengths = facts.shape(0), facts.shape(1)
    batch, time = facts.attributes.get("batch_axis", 1), facts.attributes.get("time_axis", 0)
    facts.require({batch, time} == {0, 1}, f"batch_axis = {batch} and time_axis = {time}", "0 and 1, or 1 and 0")
    if shape is None:
        return
    facts.require(len(shape) >= 2, f"an input of shape {sizes(shape)}", "two axes at least")
    facts.require(lengths is None or lengths == (shape[batch],), f"lengths of shape {sizes(lengths)}", f"({shape[batch]},), one for each batch")
    numbers = facts.numbers(1)
    facts.require(numbers is None or all(0 <= number <= shape[time] for number in numbers), f"lengths = {listed(numbers)}", f"from 0 to {shape[time]}")


def center_crop_pad(facts: Facts) -> None:
    """CenterCropPad: a size for each axis that is cut or padded."""
    shape, target, axes = facts.shape(0), facts.numbers(1), facts.attributes.get("axes")
    facts.require(target is None or all(size >= 1 for size in target), f"shape = {listed(target)}", "sizes of at least 1")
    if shape is not None:
        facts.axes("axes", axes, len(shape))
        facts.length("shape", target, len(shape) if axes is None else len(axes), "one for each axis that it says")


def resize(facts: Facts) -> None:
    """Resize: scales or sizes for each axis."""
    shape, axes = facts.shape(0), facts.attributes.get("axes")
    scales = facts.arrays[2] if len(facts.arrays) > 2 and facts.arrays[2] is not None and facts.arrays[2].size else None
    given = None if scales is None else scales.reshape(-1).tolist()
    targets = facts.numbers(3) or None
    facts.require(scales is None or targets is None, "both scales and sizes", "one of them")
    facts.require(scales is None or bool((np.isfinite(scales) & (scales > 0)).all()), f"scales = {listed(given)}", "positive numbers")
    facts.require(targets is None or all(size >= 1 for size in targets), f"sizes = {listed(targets)}", "sizes of at least 1")
    if shape is not None:
        facts.axes("axes", axes, len(shape))
        number = len(shape) if axes is None else len(axes)
        facts.length("scales", given, number, "one for each axis that it resizes")
        facts.length("sizes", targets, number, "one for each axis that it resizes")
        places = list(range(len(shape))) if axes is None else axes
        wanted = targets or ([int(shape[axis] * scale) for axis, scale in zip(places, given, strict=True)] if given else [])
        kept = set(range(len(shape))) - {axis % len(shape) for axis in places}
        whole = elements([max(size, 1) for size in wanted]) * elements([shape[axis] for axis in kept])
        facts.require(whole <= MOST_RESIZED, f"a result of {whole} elements", f"at most {MOST_RESIZED}")


def constant_of_shape(facts: Facts) -> None:
    """ConstantOfShape: sizes."""
    target = facts.numbers(0)
    facts.require(target is None or all(size >= 0 for size in target), f"shape = {listed(target)}", "sizes from 0 on")


def range_(facts: Facts) -> None:
    """Range: a step that leads somewhere."""
    step = facts.arrays[2] if len(facts.arrays) > 2 else None
    facts.require(step is None or bool((step != 0).all()), "delta = 0", "another step")


__all__ = [
    "center_crop_pad",
    "compress",
    "concat",
    "constant_of_shape",
    "elements_along",
    "expand",
    "gather",
    "gather_nd",
    "pad",
    "range_",
    "reshape",
    "resize",
    "reverse_sequence",
    "scatter_nd",
    "slice_",
    "split",
    "tile",
]

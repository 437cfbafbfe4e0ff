"""Random instructions of window units, and what they mean word by word."""

import itertools
import math


def random_window(rng, *, taps, kernel_rows, row_words, steps, words, most=150):
    """Fields within all limits whose accumulator words differ; ``words``: of activation, weight and accumulator memory, powers of two."""
    activation, weight, accumulator = words
    while True:
        kernel = rng.randint(1, kernel_rows), rng.randint(1, taps)
        kernel = rng.choice([kernel, (min(3, kernel_rows), 3)])
        step = [rng.choice([1, 1, rng.randint(1, steps)]) for _ in range(2)]
        box = rng.randint(1, 6), rng.choice([rng.randint(1, min(8, row_words)), row_words])
        positions = [rng.randint(1, 5), rng.randint(1, 7)]
        blocks = rng.choice([1, 1, 2, rng.randint(1, 4)])
        if kernel[0] * kernel[1] > taps or positions[1] * step[1] > box[1] * step[0] or blocks * positions[0] * positions[1] > min(most, accumulator // 2):
            continue
        if rng.random() < 0.4:  # 'same' padding
            positions = [-(-box[0] // step[0]), -(-box[1] // step[1])]
            if positions[1] * step[1] > box[1] * step[0] or blocks * positions[0] * positions[1] > accumulator // 2:
                continue
        break
    fields = {f"n_{level}": count for level, count in enumerate((blocks, *box, *positions, *kernel))}
    fields |= {"y_step": step[0], "x_step": step[1], "y_lead": rng.choice([kernel[0] // 2, rng.randint(0, 5)]), "x_lead": rng.choice([kernel[1] // 2, rng.randint(0, 9)])}
    fields |= {f"a_stride_{level}": rng.choice([0, 1, rng.randint(-activation, activation - 1)]) for level in range(3)}
    sign = [rng.choice([1, -1]) for _ in range(3)]
    fields |= {"c_stride_4": sign[0], "c_stride_3": sign[1] * (positions[1] + rng.randint(0, 1)), "c_stride_0": sign[2] * positions[0] * (positions[1] + 1)}
    fields |= {"a_base": rng.randrange(activation), "w_base": rng.randrange(weight), "c_base": rng.randrange(accumulator)}
    for operand in "aw":
        fields |= {f"{operand}_signed": rng.randint(0, 1), f"{operand}_zero": rng.choice([0, rng.randint(-256, 255)])}
    return fields | {"multiply": rng.randint(0, 1), "maximum": int(rng.random() < 0.3), "accumulate": rng.randint(0, 1)}


def window_walk(fields, words):
    """Accumulator words in the order of the walk."""
    return [(fields["c_base"] + b * fields["c_stride_0"] + y * fields["c_stride_3"] + x * fields["c_stride_4"]) % words
            for b, y, x in itertools.product(range(fields["n_0"]), range(fields["n_3"]), range(fields["n_4"]))]


def wrap(value, bits):
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def operand(raw, fields, prefix):
    value = raw - 256 if fields[f"{prefix}_signed"] and raw >= 128 else raw
    return wrap(value - fields[f"{prefix}_zero"], 9)


def window_definition(fields, activation, weight, accumulator):
    """The accumulator after one instruction, as a list of lists of integers; memories as lists of words of lanes."""
    result = [[int(value) for value in word] for word in accumulator]
    lanes = len(result[0])
    rows, columns, kernel = fields["n_1"], fields["n_2"], (fields["n_5"], fields["n_6"])
    for b, oy, ox in itertools.product(range(fields["n_0"]), range(fields["n_3"]), range(fields["n_4"])):
        c = (fields["c_base"] + b * fields["c_stride_0"] + oy * fields["c_stride_3"] + ox * fields["c_stride_4"]) % len(result)
        for lane in range(lanes):
            values = []
            for ky, kx in itertools.product(*map(range, kernel)):
                y = fields["y_lead"] - kernel[0] + 1 + oy * fields["y_step"] + ky
                x = fields["x_lead"] - kernel[1] + 1 + ox * fields["x_step"] + kx
                if 0 <= y < rows and 0 <= x < columns:
                    at = fields["a_base"] + b * fields["a_stride_0"] + y * fields["a_stride_1"] + x * fields["a_stride_2"]
                    value = operand(int(activation[at % len(activation)][lane]), fields, "a")
                    if fields["multiply"]:
                        at = fields["w_base"] + (b * kernel[0] + ky) * kernel[1] + kx
                        value *= operand(int(weight[at % len(weight)][lane]), fields, "w")
                    values.append(value)
            old = [result[c][lane]] if fields["accumulate"] else []
            result[c][lane] = max([-(1 << 31), *values, *old]) if fields["maximum"] else wrap(math.fsum([*values, *old]).__int__(), 32)
    return result

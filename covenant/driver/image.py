"""A program as one binary image for the driver, and a C header that describes its inputs and outputs."""

import re
import struct
import zlib
from collections.abc import Callable
from math import prod

import numpy as np

from acg.graph import Graph
from acg.predictor import predict
from compiler.program import EdgeTensor, Program

__all__ = ["MAGIC", "c_name", "image", "image_header"]

#: First bytes of an image.
MAGIC = b"CVNTIMG1"
_HEAD = struct.Struct("<8sQQQQII")
_SEGMENT = struct.Struct("<QQQ")
#: Names of the driver's element types, by the compiler's.
_TYPES = {"i8": "COVENANT_I8", "u8": "COVENANT_U8", "i32": "COVENANT_I32", "f32": "COVENANT_F32", "i64": "COVENANT_I64", "bool": "COVENANT_U8"}
_C_TYPES = {"i8": "int8_t", "u8": "uint8_t", "i32": "int32_t", "f32": "float", "i64": "int64_t", "bool": "uint8_t"}


def image(program: Program) -> bytes:
    """All that external memory holds before a run, inputs excepted, in the form that ``covenant_load`` reads (`covenant.c` has it byte by byte)."""
    segments = [(address, data) for address, data in program.image if data]
    offset = _HEAD.size + _SEGMENT.size * len(segments)
    table, body = b"", b""
    for address, data in segments:
        body += bytes(-(offset + len(body)) % 8)
        table += _SEGMENT.pack(address, offset + len(body), len(data))
        body += data
    total = offset + len(body) + 4
    head = _HEAD.pack(MAGIC, program.fingerprint, program.program_address, program.external_bytes, total, len(program.instructions), len(segments))
    whole = head + table + body
    return whole + struct.pack("<I", zlib.crc32(whole))


def c_name(text: str, *, taken: Callable[[str], bool] = lambda name: False) -> str:
    """A C identifier of a name, in lower case; with ``_2``, ``_3``, ... behind it where it is ``taken``."""
    base = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower() or "network"
    base = f"n{base}" if base[0].isdigit() else base
    name, number = base, 2
    while taken(name):
        name, number = f"{base}_{number}", number + 1
    return name


def _string(text: str) -> str:
    """A C string literal; what is not plain ASCII as octal escapes of its UTF-8."""
    return '"' + "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _comment(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text).replace("*/", "* /").replace("/*", "/ *")


def _array(kind: str, name: str, values: tuple[int, ...]) -> list[str]:
    rows = [", ".join(f"{value}u" if value < 1 << 31 else f"{value:#x}u" for value in values[first:first + 8]) for first in range(0, len(values), 8)]
    return [f"static const {kind} {name}[{len(values)}] = {{", *(f"    {row}," for row in rows), "};"]


def _tensor(item: EdgeTensor, unfold: str, function: str) -> str:
    bits = int(np.float32(item.scale or 1.0).view(np.uint32))
    shape, stored = (", ".join(f"{size}u" for size in sizes) for sizes in (item.tensor_shape, item.stored_shape))
    return (f"    {{{_string(item.name)}, {_TYPES[item.dtype]}, {_TYPES[item.tensor_dtype]}, {bits:#010x}u, {item.zero_point}, {{{shape}}}, {{{stored}}}, "
            f"{item.lanes}u,\n     UINT64_C({item.address}), UINT64_C({item.size_bytes}), UINT64_C({prod(item.shape)}), {unfold}, {function}}},")


def image_header(program: Program, graph: Graph, *, name: str) -> str:
    """C header of a program: fingerprint, cycles of a run, memory it needs, and a ``covenant_tensor`` of each input and output.

    ``name``: what its identifiers begin with (made one by `c_name`). Inputs and outputs stand in the order of the network.
    """
    prefix = c_name(name)
    macro = prefix.upper()
    cycles = predict(graph, program.instructions).total_cycles
    lines = [f"/* Generated from program '{_comment(program.name)}' for machine '{program.architecture}': do not edit. */",
             f"#ifndef {macro}_PROGRAM_H", f"#define {macro}_PROGRAM_H", "", '#include "covenant.h"', "",
             f"#define {macro}_FINGERPRINT UINT64_C({program.fingerprint:#018x})",
             f"/* Of a run, where external memory answers as the machine's description says. */\n#define {macro}_CYCLES UINT64_C({cycles})",
             f"#define {macro}_MEMORY_BYTES UINT64_C({program.external_bytes})"]
    for kind, items in (("input", program.inputs), ("output", program.outputs)):
        lines += ["", f"#define {macro}_{kind.upper()}S {len(items)}"]
        rows = []
        for index, item in enumerate(items):
            shape = "".join(f"[{size}]" for size in item.shape)
            lines += [f"/* {kind} {index}: {_C_TYPES[item.dtype]}{shape} {_comment(item.name)} */",
                      f"#define {macro}_{kind.upper()}_{index}_ELEMENTS {prod(item.shape)}", f"typedef {_C_TYPES[item.dtype]} {prefix}_{kind}_{index}_type;"]
            pointers = []
            for part in ("unfold", "function"):
                values = getattr(item, part)
                label = f"{prefix}_{kind}_{index}_{part}"
                lines += _array("uint32_t", label, values) if values else []
                pointers.append(label if values else "NULL")
            rows.append(_tensor(item, *pointers))
        if rows:
            lines += [f"static const covenant_tensor {prefix}_{kind}s[{len(rows)}] = {{", *rows, "};"]
    return "\n".join([*lines, "", "#endif", ""])

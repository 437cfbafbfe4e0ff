"""The C driver as a shared library, with a device whose registers and memory are Python's."""

import ctypes
import subprocess
from ctypes import CFUNCTYPE, POINTER, c_char, c_char_p, c_int, c_int32, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path

import numpy as np

import covenant
from acg.graph import load_graph
from compiler.program import EdgeTensor
from covenant.driver.registers import registers_header

DRIVER = Path(covenant.__file__).parent / "driver"
READ, WRITE = CFUNCTYPE(c_uint32, c_void_p, c_uint32), CFUNCTYPE(None, c_void_p, c_uint32, c_uint32)
WAIT, MOVE = CFUNCTYPE(c_int, c_void_p), CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)
TYPES = {"i8": 0, "u8": 1, "i32": 2, "f32": 3, "i64": 4}


class Device(ctypes.Structure):
    _fields_ = [("read", READ), ("write", WRITE), ("wait", WAIT), ("to_device", MOVE), ("from_device", MOVE), ("context", c_void_p),
                ("memory", c_void_p), ("memory_bytes", c_uint64), ("program_address", c_uint64), ("fingerprint", c_uint64), ("program_count", c_uint32)]


class Tensor(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("type", c_uint8), ("stored", c_uint8), ("scale_bits", c_uint32), ("zero_point", c_int32), ("shape", c_uint32 * 4),
                ("stored_shape", c_uint32 * 4), ("lanes", c_uint32), ("address", c_uint64), ("bytes", c_uint64), ("elements", c_uint64),
                ("unfold", POINTER(c_uint32)), ("function", POINTER(c_uint32))]


class Fault(ctypes.Structure):
    _fields_ = [("code", c_uint32), ("engine", c_uint32), ("address", c_uint32)]


class Counters(ctypes.Structure):
    _fields_ = [("retired", c_uint32), ("busy", c_uint32), ("stall", c_uint32)]


def sources(folder: Path) -> Path:
    """The driver's files in a folder, the generated header among them."""
    for path in DRIVER.glob("*.[ch]"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "covenant_registers.h").write_text(registers_header(load_graph("tiny")))
    return folder


def library(folder: Path) -> ctypes.CDLL:
    sources(folder)
    subprocess.run(["gcc", "-std=c99", "-O1", "-shared", "-fPIC", "covenant.c", "-o", "driver.so"], cwd=folder, check=True)
    driver = ctypes.CDLL(str(folder / "driver.so"))
    device, tensor = POINTER(Device), POINTER(Tensor)
    for name, arguments, result in (
            ("probe", [device, c_uint64], c_int), ("load", [device, c_char_p, c_size_t], c_int), ("pack", [device, tensor, c_void_p], c_int),
            ("unpack", [device, tensor, c_void_p], c_int), ("start", [device], c_int), ("poll", [device], c_int), ("run", [device, c_uint64], c_int),
            ("reset", [device, c_uint64], c_int), ("fault", [device], Fault), ("cycles", [device], c_uint64), ("count", [device, c_uint32], Counters),
            ("text", [c_int], c_char_p)):
        function = getattr(driver, f"covenant_{name}")
        function.argtypes, function.restype = arguments, result
    return driver


def descriptor(item: EdgeTensor) -> Tensor:
    """What `image_header` writes of a tensor, as a structure."""
    def words(values):
        return (c_uint32 * len(values))(*values) if values else None

    return Tensor(item.name.encode(), TYPES[item.dtype], TYPES[item.tensor_dtype], int(np.float32(item.scale or 1.0).view(np.uint32)), item.zero_point,
                  words(item.tensor_shape), words(item.stored_shape), item.lanes, item.address, item.size_bytes, int(np.prod(item.shape)),
                  words(item.unfold), words(item.function))


def device(size: int, **callbacks) -> tuple[Device, ctypes.Array]:
    """A device whose memory is the array beside it; registers read as 0 and swallow writes unless told otherwise."""
    memory = (c_char * size)()
    given = {"read": READ(lambda context, offset: 0), "write": WRITE(lambda context, offset, value: None)} | callbacks
    return Device(memory=ctypes.addressof(memory), memory_bytes=size, **given), memory

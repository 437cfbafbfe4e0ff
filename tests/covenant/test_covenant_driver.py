"""The C driver: clean under strict compilers, edges bit-equal to the host's Python, damaged images refused, and a network run on the RTL by it."""

import ctypes
import json
import random
import shutil
import struct
import subprocess
import zlib
from ctypes import byref

import numpy as np
import pytest

from acg.counters import predicted_counters
from acg.graph import load_graph
from acg.predictor import predict
from acg.regmap import ErrorCode
from compiler.host import pack_inputs, unpack_outputs
from compiler.layout import Layout
from compiler.program import EdgeTensor, Program
from covenant.api import Machine
from covenant.bench.workloads import demonstration
from covenant.cli import main
from covenant.driver.image import MAGIC, c_name, image, image_header
from covenant.hardware import simulator
from tests.covenant.driver_library import MOVE, READ, WAIT, WRITE, Device, descriptor, device, library, sources

OK, PENDING, ABSENT, VERSION, MACHINE, IMAGE, MEMORY, BUSY, TIMEOUT, UNLOADED, NAN, WAITING, FAILED = range(0, -13, -1)
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-Wconversion", "-O2", "-c"]
COMPILERS = [("gcc", "-std=c99"), ("g++", "-x", "c++", "-std=c++98", "-Wno-long-long", "-Wno-variadic-macros"), ("g++", "-x", "c++", "-std=c++17"), ("clang", "-std=c99")]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return library(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    path.write_bytes(demonstration().SerializeToString())
    return Machine("tiny").compile(path)


@pytest.mark.parametrize("compiler", COMPILERS, ids=" ".join)
def test_compilers_find_nothing_to_warn_of(compiler, compiled, tmp_path):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no {compiler[0]} on PATH")
    sources(tmp_path)
    (tmp_path / "net.h").write_text(image_header(compiled.program, compiled.machine.graph, name="net"))
    (tmp_path / "main.c").write_text('#include "net.h"\n#include "net.h"\nint main(void) { return (int)(net_inputs[0].lanes + net_outputs[0].lanes); }\n')
    linux = [] if "-std=c++98" in compiler else ["covenant_linux.c"]
    for name in ["covenant.c", "main.c", *linux]:
        done = subprocess.run([*compiler, *STRICT, name, "-o", "out.o"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_cppcheck_finds_nothing(tmp_path):
    if shutil.which("cppcheck") is None:
        pytest.skip("no cppcheck on PATH")
    done = subprocess.run(["cppcheck", "-q", "--enable=warning,style,performance,portability", "--error-exitcode=1", "--std=c99",
                           "covenant.c", "covenant_linux.c"], cwd=sources(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def drawn_tensor(rng):
    """An edge of any type and shape that the manifest's rules allow, and whether it is an input."""
    stored, lanes = rng.choice(["i8", "i8", "u8", "u8", "i32", "f32"]), rng.choice([1, 2, 4, 16])
    shape = tuple(rng.randint(1, most) for most in (2, 5, 4, 5))
    is_input = stored != "f32" and rng.random() < 0.5  # float32 numbers in memory only ever leave a network
    kinds = ["f32"] if stored == "f32" else ["f32", stored] if is_input else ["f32", stored, "i64"]
    small = stored in ("i8", "u8")
    low, high = {"i8": (-128, 127), "u8": (0, 255), "i32": (-2**31, 2**31 - 1)}.get(stored, (0, 0))
    unfold, stored_shape = (), shape
    if is_input and rng.random() < 0.4:
        ky, kx, sy, sx, dy, dx = (rng.randint(1, 3) for _ in range(6))
        unfold = (ky, kx, sy, sx, dy, dx, rng.randint(0, 2), rng.randint(0, 2))
        stored_shape = (shape[0], ky * kx * shape[1], rng.randint(1, 5), rng.randint(1, 5))
    dtype = rng.choice(kinds)
    function = ()
    if not is_input and small and dtype == "f32" and rng.random() < 0.3:
        function = tuple(rng.getrandbits(32) & 0xFF7FFFFF for _ in range(256))  # no NaN, which is not equal to itself
    return EdgeTensor("edge", dtype, shape, stored, shape, float(np.float32(2.0 ** rng.uniform(-20, 8))) if small else None, rng.randint(low, high),
                      stored_shape, lanes, 8 * rng.randint(0, 4), Layout(stored_shape, stored, lanes).size_bytes, unfold, function), is_input


def drawn_floats(item, generator):
    """Numbers over the whole range, on and beside the edges between two steps, infinities, zeros of both signs, and beyond 2^23 steps."""
    scale = np.float32(item.scale or 1.0)
    steps = generator.integers(-300, 300, item.shape).astype(np.float32) / np.float32(2)
    values = steps * scale
    values = np.where(generator.random(item.shape) < 0.3, np.nextafter(values, np.float32(np.inf)), values)
    extreme = np.float32([np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-42, 2.0**23, 2.0**24 + 2, -(2.0**23) + 0.5])
    return np.where(generator.random(item.shape) < 0.15, generator.choice(extreme, item.shape), values).astype(np.float32)


@pytest.mark.parametrize("seed", range(150))
def test_edges_are_bit_equal_to_those_of_the_hosts_python(driver, seed):
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    item, is_input = drawn_tensor(rng)
    own, memory = device(item.address + item.size_bytes + 8)
    ctypes.memset(memory, 0xA5, len(memory))
    numbers = {"f32": lambda: drawn_floats(item, generator), "i8": lambda: generator.integers(-128, 128, item.shape, np.int8),
               "u8": lambda: generator.integers(0, 256, item.shape, np.uint8), "i32": lambda: generator.integers(-2**31, 2**31, item.shape, np.int32)}
    if is_input:
        array = numbers[item.dtype]()
        program = Program("p", "tiny", 0, "", (), b"", 0, (), (item,), (), (), (), 0)
        (_, expected), = pack_inputs(program, {"edge": array})
        assert driver.covenant_pack(byref(own), byref(descriptor(item)), array.ctypes.data) == OK
        assert memory.raw[item.address:item.address + item.size_bytes] == expected
        assert set(memory.raw[:item.address] + memory.raw[item.address + item.size_bytes:]) <= {0xA5}
    else:
        data = generator.bytes(item.size_bytes)
        if item.tensor_dtype == "f32":
            data = generator.standard_normal(item.size_bytes // 4).astype("<f4").tobytes()
        program = Program("p", "tiny", 0, "", (), b"", 0, (), (), (item,), (), (), 0)
        expected = unpack_outputs(program, lambda address, size: data)["edge"]
        ctypes.memmove(ctypes.addressof(memory) + item.address, data, len(data))
        array = np.zeros(item.shape, expected.dtype)
        assert driver.covenant_unpack(byref(own), byref(descriptor(item)), array.ctypes.data) == OK
        assert array.tobytes() == expected.tobytes()


def test_a_nan_and_a_tensor_beyond_the_memory_are_refused(driver):
    item = EdgeTensor("x", "f32", (1, 1, 1, 2), "i8", (1, 1, 1, 2), 0.5, 0, (1, 1, 1, 2), 4, 0, 8)
    own, _ = device(8)
    assert driver.covenant_pack(byref(own), byref(descriptor(item)), np.float32([1, np.nan]).ctypes.data) == NAN
    own.memory_bytes = 7
    assert driver.covenant_pack(byref(own), byref(descriptor(item)), np.float32([1, 2]).ctypes.data) == MEMORY
    assert driver.covenant_unpack(byref(own), byref(descriptor(item)), np.float32([1, 2]).ctypes.data) == MEMORY


class Registers:
    """Registers that answer from a dict; what is written is kept in order."""

    def __init__(self, **values):
        self.values, self.written = values, []
        self.read = READ(lambda context, offset: self.values.get(offset, 0))
        self.write = WRITE(lambda context, offset, value: self.written.append((offset, value)))


def sealed(data):
    return data + struct.pack("<I", zlib.crc32(data))


def test_damaged_images_are_refused_and_nothing_is_copied(driver, compiled):
    program = compiled.program
    whole = image(program)
    registers = Registers()
    own, memory = device(program.external_bytes, read=registers.read, write=registers.write)
    own.fingerprint = program.fingerprint

    def load(data):
        return driver.covenant_load(byref(own), data, len(data))

    def changed(place, form, value):
        data = bytearray(whole[:-4])
        struct.pack_into(form, data, place, value)
        return sealed(bytes(data))

    rng = random.Random(5)
    assert {load(whole[:size]) for size in (0, 7, 8, 51, 52, 100, len(whole) - 1)} == {IMAGE}
    for _ in range(40):
        place, bit = rng.randrange(len(whole)), rng.randrange(8)
        assert load(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1:]) == IMAGE
    assert load(changed(8, "<Q", program.fingerprint ^ 1)) == MACHINE
    assert load(changed(24, "<Q", program.external_bytes + 1)) == MEMORY
    assert load(changed(32, "<Q", len(whole) + 1)) == IMAGE
    assert load(changed(44, "<I", 0xFFFFFFFF)) == IMAGE
    assert {load(changed(48, "<Q", value)) for value in (program.external_bytes, 2**64 - 1)} == {MEMORY}
    assert {load(changed(56, "<Q", value)) for value in (len(whole), 2**64 - 1)} == {IMAGE}
    assert {load(changed(64, "<Q", value)) for value in (len(whole), 2**64 - 1)} == {IMAGE}
    assert not any(memory.raw) and driver.covenant_start(byref(own)) == UNLOADED
    registers.values[0x14] = 1
    assert load(whole) == BUSY and not any(memory.raw)
    registers.values[0x14] = 8
    assert load(whole) == OK
    for address, data in program.image:
        assert memory.raw[address:address + len(data)] == data


def test_what_the_machine_answers_becomes_a_result_with_a_sentence(driver):
    registers = Registers()
    own, _ = device(8, read=registers.read, write=registers.write)
    assert driver.covenant_probe(byref(own), 0) == ABSENT
    registers.values |= {0x00: 0x43564E54, 0x04: 2}
    assert driver.covenant_probe(byref(own), 0) == VERSION
    registers.values |= {0x04: 1, 0x08: 7, 0x0C: 1}
    assert driver.covenant_probe(byref(own), 5) == MACHINE
    assert driver.covenant_probe(byref(own), 0) == OK and own.fingerprint == 1 << 32 | 7
    own.program_count = 3
    registers.values[0x14] = 4
    assert driver.covenant_start(byref(own)) == FAILED
    registers.values |= {0x18: 6}
    assert driver.covenant_poll(byref(own)) == ErrorCode.BUS
    registers.values[0x14] = 0
    assert driver.covenant_run(byref(own), 9) == TIMEOUT and driver.covenant_reset(byref(own), 9) == TIMEOUT
    own.wait = WAIT(lambda context: 1)
    assert driver.covenant_run(byref(own), 9) == WAITING
    texts = {result: driver.covenant_text(result).decode() for result in range(FAILED - 1, 10)}
    assert len(set(texts.values())) == len(texts) - 1 and texts[FAILED - 1] == texts[9] == "a result that this driver does not know"
    assert {code: texts[code] for code in range(1, 9)} == {code.value: code.doc for code in ErrorCode if code}
    assert texts[FAILED] == "the last run ended in an error: reset the machine first" and texts[PENDING] == "the run has not ended yet"


def test_names_become_identifiers():
    assert [c_name(text) for text in ("Net v1.onnx", "3x3", "___", "é")] == ["net_v1_onnx", "n3x3", "network", "network"]
    assert c_name("x", taken={"x", "x_2"}.__contains__) == "x_3"


def test_compile_writes_image_and_header_alone_or_beside_the_program(compiled, tmp_path, capsys):
    model = tmp_path / "small.onnx"
    model.write_bytes(demonstration().SerializeToString())
    paths = {name: str(tmp_path / f"out/small.{name}") for name in ("bin", "h", "covenant")}
    assert main(["compile", str(model), "--arch", "tiny", "--image", paths["bin"], "--header", paths["h"], "--json", "-"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["file"], summary["image"], summary["header"]) == (None, paths["bin"], paths["h"])
    data = (tmp_path / "out/small.bin").read_bytes()
    assert data == image(compiled.program) and data.startswith(MAGIC)
    assert (tmp_path / "out/small.h").read_text() == image_header(compiled.program, compiled.machine.graph, name="small")
    assert main(["compile", str(model), "--arch", "tiny", "-o", paths["covenant"], "--image", paths["bin"]]) == 0
    assert (tmp_path / "out/small.covenant").read_bytes() == compiled.program.to_bytes()


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "compile: found no file to write; expected -o FILE, --image FILE.bin or --header FILE.h\n"),
    (("--fallback", "host", "-o", "plan", "--image", "x.bin"), "compile --fallback host: found --image; expected -o FOLDER alone, segments that run "
     "between others on the host have no image of their own\n"),
])
def test_compile_refuses_what_it_cannot_write(arguments, message, capsys):
    assert main(["compile", "examples/digits_cnn.onnx", "--arch", "tiny", *arguments]) == 2
    assert capsys.readouterr().err == f"covenant: {message}"


class Rtl:
    """The bench's own simulator, driven line by line: registers by callbacks, the shared memory copied when the driver says so."""

    def __init__(self, program, folder):
        self.process = subprocess.Popen(["stdbuf", "-oL", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=folder)
        self.folder, self.memory, self.waits = folder, None, 0
        self.say("reset 8")

    def say(self, line):
        self.process.stdin.write(line + "\n")

    def answer(self):
        return self.process.stdout.readline().split()

    def read(self, context, offset):
        self.say(f"read {offset}")
        return int(self.answer()[1])

    def write(self, context, offset, value):
        self.say(f"write {offset} {value}")

    def wait(self, context):
        self.waits += 1
        self.say("run 1000000")
        return 0 if int(self.answer()[1]) else 1

    def to_device(self, context, address, size):
        (self.folder / "shared.bin").write_bytes(self.memory.raw[address:address + size])
        self.say(f"load {address} shared.bin 0 {size}")
        self.read(None, 0)  # it has been read by now

    def from_device(self, context, address, size):
        (self.folder / "back.bin").unlink(missing_ok=True)
        self.say(f"dump {address} {size} back.bin")
        self.read(None, 0)
        ctypes.memmove(ctypes.addressof(self.memory) + address, (self.folder / "back.bin").read_bytes(), size)

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.mark.rtl
def test_the_very_driver_runs_a_network_on_the_rtl(driver, compiled, tmp_path):
    program, graph = compiled.program, load_graph("tiny")
    rtl = Rtl(simulator(graph).bare, tmp_path)
    try:
        own, rtl.memory = device(program.external_bytes, read=READ(rtl.read), write=WRITE(rtl.write), wait=WAIT(rtl.wait), to_device=MOVE(rtl.to_device),
                                 from_device=MOVE(rtl.from_device))
        assert driver.covenant_probe(byref(own), program.fingerprint) == OK
        whole = image(program)
        assert driver.covenant_load(byref(own), whole, len(whole)) == OK
        predicted = predict(graph, program.instructions)
        counters = predicted_counters(graph, program.instructions, predicted)
        generator = np.random.default_rng(4)
        for _ in range(2):
            array = generator.standard_normal(program.inputs[0].shape).astype(np.float32)
            expected = compiled.run({program.inputs[0].name: array}, on="iss").outputs[0]
            output = np.zeros(program.outputs[0].shape, np.float32)
            assert driver.covenant_pack(byref(own), byref(descriptor(program.inputs[0])), array.ctypes.data) == OK
            assert driver.covenant_run(byref(own), 1) == OK
            assert driver.covenant_unpack(byref(own), byref(descriptor(program.outputs[0])), output.ctypes.data) == OK
            assert output.tobytes() == expected[program.outputs[0].name].tobytes()
            assert driver.covenant_cycles(byref(own)) == predicted.total_cycles
            for engine in graph.engines.values():
                found = driver.covenant_count(byref(own), engine.index)
                assert {"RETIRED": found.retired, "BUSY": found.busy, "STALL": found.stall} == {
                    name: counters[f"{name}_{engine.index}"] for name in ("RETIRED", "BUSY", "STALL")}
        assert rtl.waits == 2
        # A program for another machine: the machine's own refusal, its text, and a reset after which it works again.
        own.fingerprint ^= 1
        own.wait = WAIT()
        assert driver.covenant_run(byref(own), 1000) == ErrorCode.FINGERPRINT
        assert driver.covenant_fault(byref(own)).code == ErrorCode.FINGERPRINT and driver.covenant_start(byref(own)) == FAILED
        own.fingerprint ^= 1
        assert driver.covenant_reset(byref(own), 1000) == OK and driver.covenant_run(byref(own), 0) == OK
    finally:
        rtl.end()
    assert isinstance(own, Device)

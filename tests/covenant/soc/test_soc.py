"""A processor runs a network on the accelerator by the C driver: outputs of the functional simulator, cycles as predicted; what is missing is said."""

import shutil

import numpy as np
import pytest

from acg.graph import load_graph
from covenant.api import Machine
from covenant.arrays import read_arrays
from covenant.errors import UserError
from covenant.soc import firmware, run, system
from covenant.soc.__main__ import main

TINY = load_graph("tiny")
NO_COMPILER = not any(shutil.which(name) for name in firmware.COMPILERS)


@pytest.fixture(scope="module")
def digits():
    program = Machine("tiny").compile("examples/digits_cnn.onnx").program
    (given,) = program.inputs
    arrays = read_arrays("examples/digits_test.npz")
    return program, [array.reshape(given.shape) for array in arrays[given.name][:1]]


def test_without_a_compiler_it_is_skipped_with_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(firmware.shutil, "which", lambda name: None)
    assert main([]) == 0
    assert capsys.readouterr().out == ("skipped: soc: found no riscv64-unknown-elf-gcc or riscv32-unknown-elf-gcc on PATH; expected a RISC-V compiler, on Debian and "
                                       "Ubuntu: apt-get install gcc-riscv64-unknown-elf\n")


def test_without_the_processors_package(monkeypatch):
    monkeypatch.setattr(system.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        system.processor_source()
    assert str(error.value) == ("soc: the package pythondata-cpu-picorv32 is missing, which has the processor's Verilog; expected it, install the extra: "
                                "pip install 'covenant[soc]'")


@pytest.mark.parametrize("shared", [False, True])
def test_every_signal_of_a_manager_reaches_the_memory(shared, monkeypatch):
    monkeypatch.setattr(system, "processor_source", lambda: "")
    files = system.system(TINY, top="tiny", shared=shared, memory_words=100)
    assert ("soc_shared.v" in files) == shared
    text = files["soc.v"]
    assert ".arvalid({cpu_arvalid, m_axi_load_arvalid, m_axi_fetch_arvalid})" in text
    assert ".wstrb({cpu_wstrb, m_axi_store_wstrb})" in text
    assert (".READ_PORTS(1), .WRITE_PORTS(1)" in text) == shared


@pytest.mark.skipif(NO_COMPILER, reason="no RISC-V compiler on PATH")
def test_firmware_is_built_without_a_warning(digits, tmp_path):
    program, samples = digits
    text = firmware.build_firmware(program, TINY, samples, tmp_path, shared_bytes=1 << 20)
    words = text.split()
    assert all(len(word) == 8 for word in words) and len(words) * 4 > program.external_bytes / 2
    assert np.frombuffer((tmp_path / "firmware.bin").read_bytes(), "<u4")[0] == int(words[0], 16)


@pytest.mark.rtl
@pytest.mark.long
@pytest.mark.skipif(NO_COMPILER, reason="no RISC-V compiler on PATH")
def test_a_digit(digits, monkeypatch):
    program, samples = digits
    predicted = run.predicted_cycles(TINY, program)
    (alone,) = run.run_system(TINY, program, samples, shared=False)
    assert alone.exact and alone.cycles == predicted and alone.label == int(read_arrays("examples/digits_test.npz")["y"][0])
    (together,) = run.run_system(TINY, program, samples, shared=True)
    assert together.exact and together.label == alone.label and together.cycles > predicted
    with pytest.raises(UserError, match=r"^soc: the firmware on tiny gave 0 of 1 answers and ended with: .*expected all, and END 0$"):
        run.run_system(TINY, program, samples, shared=False, most_cycles=1000)

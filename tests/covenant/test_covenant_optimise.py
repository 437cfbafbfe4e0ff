"""--optimise: programs of fewer cycles, exact like all, that come again from what stands in them."""

import json
import zipfile
from pathlib import Path

import pytest

from covenant.api import Compiled, Machine
from covenant.cli import main

MODEL = str(Path(__file__).parents[2] / "examples" / "fashion_dscnn.onnx")


def test_compile_then_the_same_bytes_from_its_choices(tmp_path, capsys):
    first, second, summary = tmp_path / "first.covenant", tmp_path / "second.covenant", tmp_path / "summary.json"
    assert main(["compile", MODEL, "--optimise", "14", "-o", str(first), "--json", str(summary), "--quiet"]) == 0
    told = json.loads(summary.read_text())
    before, after = told["optimised"]["before"], told["optimised"]["after"]
    assert after < before and told["optimised"]["tries"] == 14 and told["choices"]
    assert f"optimised: {before:,} cycles before, {after:,} after 14 compilations (" in capsys.readouterr().out
    assert main(["compile", MODEL, "--choices", str(first), "-o", str(second), "--quiet"]) == 0
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(zipfile.ZipFile(first).read("manifest.json"))["choices"] == told["choices"]
    assert Compiled.load(first).cycles == after
    assert main(["run", str(first), "--on", "iss", "--quiet"]) == 0


def test_run_and_predict_search_first(tmp_path):
    report = tmp_path / "report.json"
    assert main(["run", MODEL, "--on", "iss", "--optimise", "8", "--optimise-seed", "3", "--json", str(report), "--quiet"]) == 0
    run = json.loads(report.read_text())
    assert run["exact"] is True and run["cycles"]["predicted"] == run["optimised"]["after"] < run["optimised"]["before"]
    assert main(["predict", MODEL, "--optimise", "8", "--optimise-seed", "3", "--json", str(report), "--quiet"]) == 0
    assert json.loads(report.read_text())["optimised"] == run["optimised"]


def test_from_python():
    machine = Machine("edge16")
    network = machine.compile(MODEL, tries=8, seed=3)
    assert network.cycles < machine.compile(MODEL).cycles
    assert machine.compile(MODEL, choices=network.program.choices).program.to_bytes() == network.program.to_bytes()


@pytest.mark.parametrize("effort", ["0", "-1", "5s", "m", "1.5m", "", "٣"])
def test_neither_tries_nor_minutes(effort, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compile", MODEL, f"--optimise={effort}", "-o", "x.covenant"])
    assert ended.value.code == 2
    assert f"argument --optimise: {effort!r} is neither a number of tries, as in 200, nor of minutes, as in 5m\n" in capsys.readouterr().err


def test_what_is_compiled_already_is_not_searched_for(tmp_path, capsys):
    program, plan = tmp_path / "p.covenant", tmp_path / "plan"
    plan.mkdir()
    (plan / "plan.json").write_text("{}")
    assert main(["compile", MODEL, "-o", str(program), "--quiet"]) == 0
    capsys.readouterr()
    for arguments, message in (
        (["run", str(program), "--optimise", "3"],
         f"{program}: --optimise with a program file, which is compiled already; expected an ONNX network, give the option to covenant compile"),
        (["predict", str(plan), "--optimise", "3"], f"{plan}: --optimise with a plan, whose programs are compiled already; expected an ONNX network"),
        (["compile", MODEL, "--fallback", "host", "--optimise", "3", "-o", str(tmp_path / "folder")],
         "compile: --optimise with --fallback host; expected one program to search for, leave one of them out"),
        (["compile", MODEL, "--fallback", "host", "--choices", str(program), "-o", str(tmp_path / "folder")],
         "compile: --choices with --fallback host; expected one program to decide for, leave one of them out"),
    ):  # fmt: skip
        assert main(arguments) == 2
        assert capsys.readouterr().err == f"covenant: {message}\n"
    assert not (tmp_path / "folder").exists()


def test_choices_of_another_network_are_refused(tmp_path, capsys):
    program, other = tmp_path / "p.covenant", str(Path(MODEL).parent / "digits_cnn.onnx")
    assert main(["compile", MODEL, "--optimise", "14", "-o", str(program), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["compile", other, "--choices", str(program), "-o", str(tmp_path / "q.covenant"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("covenant: network digits_cnn.onnx: choice '") and "or search anew with --optimise" in error
    assert not (tmp_path / "q.covenant").exists()

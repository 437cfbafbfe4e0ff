"""What every command has in common: JSON on request, silence on request, the next step on a terminal, completion in shells, no colour in pipes."""

import argparse
import io
import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from covenant.cli import _parser, main
from covenant.terminal.colour import STYLES, coloured, painter
from covenant.terminal.completion import SHELLS, script
from covenant.terminal.next_step import NEXT, say_next
from covenant.terminal.show import said, said_exact
from covenant.terminal.warn import warn

DIGITS = "examples/digits_cnn.onnx"
(_COMMANDS,) = (action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
#: Of each command something that takes a second at most; P stands for a program file, C for a coverage file, F for a file of the test's own.
QUICK = {
    "rtl": ["tiny", "-o", "F"],
    "compile": [DIGITS, "--arch", "tiny", "-o", "F.covenant"],
    "predict": ["P"],
    "run": ["P", "--on", "iss"],
    "coverage": ["C"],
    "mutants": ["--list"],
    "fuzz": ["array", "--count", "2", "--keep", "F"],
    "arch": ["check", "tiny"],
    "quantize-test": ["ReLU"],
    "ops": ["Conv"],
    "report": ["P", "-o", "F.html"],
    "compare": ["P", "P"],
    "trace": ["P", "-o", "F.pftrace"],
    "annotate": [DIGITS, "--arch", "tiny", "-o", "F.onnx"],
    "disasm": ["P"],
    "completion": ["bash"],
}
#: These take longer; their JSON and their silence are looked at where they are tested.
SLOW = {"backend-test", "verify", "models", "layers", "quantize", "advise", "synth", "explore"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manners")
    assert main(["compile", DIGITS, "--arch", "tiny", "-o", str(folder / "p.covenant")]) == 0
    (folder / "c.json").write_text(json.dumps({"runs": 1, "instructions": 2, "bins": {"instruction/load": 3}}))
    return {"P": str(folder / "p.covenant"), "C": str(folder / "c.json"), "F": str(folder / "f")}


def arguments(command, files):
    return [command, *(files.get(word) or (files["F"] + word[1:] if word.startswith("F.") else word) for word in QUICK[command])]


def test_every_command_has_its_manners():
    assert set(QUICK) | SLOW == set(_COMMANDS.choices) == set(NEXT)
    for name, parser in _COMMANDS.choices.items():
        assert {"--json", "--quiet"} <= set(parser._option_string_actions), name


@pytest.mark.parametrize("command", QUICK)
def test_json_alone_on_standard_output_and_silence_on_the_other(command, files, capfd):
    assert main([*arguments(command, files), "--json", "-", "--quiet"]) == 0
    out, err = capfd.readouterr()
    json.loads(out)
    assert err == ""


@pytest.mark.parametrize("command", QUICK)
def test_json_in_a_file_leaves_what_people_read(command, files, tmp_path, capsys):
    plain = [*arguments(command, files), "--quiet"]
    assert main(plain) == 0
    text = capsys.readouterr().out
    assert main([*plain, "--json", str(tmp_path / "r.json")]) == 0
    json.loads((tmp_path / "r.json").read_text())
    assert re.sub(r"in \d+ s|[\d.,]+ seconds", "", capsys.readouterr().out) == re.sub(r"in \d+ s|[\d.,]+ seconds", "", text) != ""


@pytest.mark.parametrize("command", QUICK)
def test_the_next_step_is_a_command_that_is_understood(command, files, capsys, monkeypatch):
    words = arguments(command, files)
    options = _parser().parse_args(words)
    say_next(options, 0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    say_next(options, 1)
    say_next(_parser().parse_args([*words, "--quiet"]), 0)
    assert capsys.readouterr().err == ""
    say_next(options, 0)
    said = capsys.readouterr().err
    assert said.startswith("next: ") and said.endswith("\n")
    for given in re.findall(r"(covenant [a-z-]+ (?:(?!, which| runs | says | shows | takes | adds | tries | judges | makes | quantises ).)*)", said):
        if command != "completion":
            _parser().parse_args([{"SIZE=VALUE": "rows=2"}.get(word, word) for word in shlex.split(given)[1:]])


def test_steps_of_other_actions():
    def said(*words):
        options = _parser().parse_args(list(words))
        return NEXT[options.command](options)

    assert said("arch", "list") == "covenant arch show NAME"
    assert said("compile", "a.onnx", "--image", "a.bin") == "covenant rtl ARCH has the driver that loads it"
    assert said("arch", "show", "wide") == "covenant rtl wide"
    assert said("arch", "new", "mine", "--like", "tiny") == "covenant compare MODEL --arch tiny --arch mine.yaml"
    assert said("arch", "diff", "a b.yaml", "tiny") == "covenant compare MODEL --arch 'a b.yaml' --arch tiny"
    assert said("run", "a.onnx", "--arch", "tiny", "--shape", "x=1,2") == "covenant report a.onnx --arch tiny --shape x=1,2 -o a.html shows where the cycles go"
    assert said("predict", "plan", "--fallback", "host") == "covenant run plan --fallback host"
    assert said("verify", "--coverage", "c.json") == "covenant coverage FILE says what was never reached"


@pytest.mark.parametrize(("words", "last", "wanted"), [
    (["covenant", "pre"], 1, {"predict"}),
    (["covenant", "run", "--wa"], 2, {"--waves"}),
    (["covenant", "run", "net.onnx", "--arch", "edg"], 4, {"edge16"}),
    (["covenant", "predict", "pyproj"], 2, {"pyproject.toml"}),
    (["covenant", "run", "net.onnx", "--on", ""], 4, {"rtl", "iss"}),
])
def test_bash_completes(words, last, wanted, tmp_path):
    path = tmp_path / "c.bash"
    path.write_text(script(_parser(), "bash"))
    program = f"source {path}; COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={last}; _shtab_covenant; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == wanted, done.stderr


def test_scripts_of_all_shells(capsys):
    for shell in SHELLS:
        assert main(["completion", shell]) == 0
        text = capsys.readouterr().out
        assert all(name in text for name in _COMMANDS.choices) and "edge16" in text and "--waves" in text


class Stream(io.StringIO):
    """A terminal, or none."""

    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


@pytest.mark.parametrize(("variables", "terminal", "wanted"), [
    ({}, True, True), ({}, False, False), ({"TERM": "dumb"}, True, False), ({"NO_COLOR": "1"}, True, False), ({"NO_COLOR": ""}, True, True),
    ({"FORCE_COLOR": "1"}, False, True), ({"FORCE_COLOR": "", "TERM": "xterm"}, False, False), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
])
def test_who_is_painted(variables, terminal, wanted, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert coloured(Stream(terminal)) is wanted


def _said(capfd, files, tmp_path):
    """What commands say that end well, warn, refuse and do not know an option."""
    assert main(arguments("run", files)) == 0
    assert main(["compile", str(tmp_path / "gone.onnx")]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--odd"])
    assert ended.value.code == 2
    warn("one thing")
    paint = painter(sys.stdout)
    print(said_exact("yes", True, paint), said_exact("NO", False, paint), *said(["WARNING: one"], paint))
    return "".join(capfd.readouterr())


def test_colours_say_nothing_of_their_own(files, capfd, monkeypatch, tmp_path):
    """A pipe and NO_COLOR ask for the same, no escape sequence; with colours it is the same text."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    plain = _said(capfd, files, tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")
    painted = _said(capfd, files, tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in plain and plain == _said(capfd, files, tmp_path)
    assert re.sub("\033\\[[0-9;]*m", "", painted) == plain
    for text, style in (("exact: yes", "good"), ("exact: NO", "bad"), ("WARNING: one", "warning"), ("covenant:", "bad"),
                        ("covenant predict: error:", "bad"), ("covenant: warning:", "warning")):
        assert f"\033[{STYLES[style]}m{text}\033[0m" in painted, text


def test_a_machine_as_a_drawing(tmp_path, capsys):
    path = tmp_path / "m.svg"
    assert main(["arch", "show", "tiny", "--svg", str(path)]) == 0
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and len(root.findall(".//{*}rect")) == 10
    assert capsys.readouterr().out == ""
    assert main(["arch", "show", "tiny", "--svg", "-"]) == 0
    assert capsys.readouterr().out == path.read_text()
    assert main(["arch", "list", "--svg", "m.svg"]) == 2
    assert capsys.readouterr().err == "covenant: arch list: --svg m.svg draws a machine; expected covenant arch show ARCH --svg FILE\n"


def test_no_command_at_all_shows_what_there_is(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and all(f"    {name} " in err or f"    {name}\n" in err for name in _COMMANDS.choices)


@pytest.mark.parametrize(("words", "message"), [
    (["disasm", DIGITS], f"{DIGITS}: no program file; expected one that covenant compile has written of a network, as in covenant compile {DIGITS} "
     "--arch ARCH -o FILE"),
    (["coverage", "nothing.json"], "nothing.json: cannot be read (No such file or directory); expected a file of covenant verify --coverage"),
    (["arch", "new"], "arch new: no name; expected the name that the machine is to have, as in covenant arch new mine --like edge16"),
])
def test_what_beginners_type(words, message, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err == f"covenant: {message}\n"


def test_what_is_read_is_not_written(files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program, run = tmp_path / "p.covenant", tmp_path / "r.json"
    program.write_bytes(Path(files["P"]).read_bytes())
    run.write_text("{}")
    (tmp_path / "link").symlink_to(program)
    for words, path, option in ((["report", "p.covenant", "-o", "r.html", "--run", "r.json"], "r.json", "output"), (["trace", "link", "-o", "p.covenant"], "p.covenant", "output"),
                                (["run", "p.covenant", "--on", "iss", "--json", "./p.covenant"], "./p.covenant", "json")):
        assert main(words) == 2
        assert capsys.readouterr().err == f"covenant: {path}: is read, and would be written; expected another file, give --{option} another name\n"
    assert program.read_bytes() == Path(files["P"]).read_bytes() and run.read_text() == "{}"

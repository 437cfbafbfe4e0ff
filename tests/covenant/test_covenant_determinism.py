"""Two copies of the sources in two folders, two hash seeds: the same bytes in every generated file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("acg", "archs", "compiler", "covenant", "hwgen", "verif")
#: What each copy is asked for, in its own current folder.
SCRIPT = """
import sys
from pathlib import Path
import covenant
from covenant.cli import main
assert Path(covenant.__file__).is_relative_to(sys.argv[1]), covenant.__file__
examples = sys.argv[2]
assert main(["rtl", "tiny", "-o", "rtl"]) == 0
assert main(["rtl", "own.yaml", "-o", "own"]) == 0
for model, arch in (("digits_cnn", "tiny"), ("digits_cnn", "edge16"), ("fashion_dscnn", "wide")):
    assert main(["compile", f"{examples}/{model}.onnx", "--arch", arch, "-o", f"{model}.{arch}.covenant"]) == 0
assert main(["run", f"{examples}/digits_cnn.onnx", "--arch", "tiny", "--on", "iss", "-o", "y.npz", "--json", "report.json"]) == 0
"""
WRITTEN = {"digits_cnn.edge16.covenant", "digits_cnn.tiny.covenant", "fashion_dscnn.wide.covenant", "own.yaml", "report.json", "y.npz",
           *(f"{folder}/{name}" for folder in ("own", "rtl") for name in ("tiny.h", "tiny.json", "tiny.md", "tiny.v", "tiny_axi.v", "bench/tiny_bench.v"))}


def start(home: Path, folder: Path, hash_seed: str) -> subprocess.Popen:
    """Begin the script with a copy of the sources in ``home`` and ``folder`` as the current folder."""
    home.mkdir(parents=True)
    folder.mkdir(parents=True)
    for name in SOURCES:
        shutil.copytree(PROJECT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "own.yaml").write_bytes((PROJECT / "archs" / "tiny.yaml").read_bytes())
    # A cache of its own, or the second copy would be given the text that the first one has made.
    environment = {**os.environ, "PYTHONPATH": str(home), "PYTHONHASHSEED": hash_seed, "COVENANT_CACHE": str(home / "cache")}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(home), str(PROJECT / "examples")], cwd=folder, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_copies_write_the_same_bytes(tmp_path):
    folders = [tmp_path / "a", tmp_path / "another" / "deeper"]
    runs = [start(tmp_path / f"home{number}" / ("x" * number), folder, seed) for number, (folder, seed) in enumerate(zip(folders, ("1", "31337"), strict=True))]
    for run in runs:
        _, errors = run.communicate()
        assert run.returncode == 0, errors
    first, second = ({path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()} for folder in folders)
    assert first.keys() == second.keys() >= WRITTEN
    assert [name for name in first if first[name] != second[name]] == []
    # The report repeats the model's path as it was typed; nothing else may know where it was made.
    own = [name for name in first if name != "report.json"]
    assert [name for name in own if str(tmp_path).encode() in first[name] or str(PROJECT).encode() in first[name]] == []

"""Arrays of files: what is no array of numbers, is damaged or lies about its size is refused, and no more is read than is needed."""

import io
import resource
import time
import zipfile

import numpy as np
import pytest

from covenant.arrays import MOST_BYTES, read_arrays
from covenant.cli import main
from covenant.errors import UserError
from covenant.samples import ModelInput, take
from tests.support.models import U8, model_of, node

INPUT = ModelInput("x", np.dtype(np.float32), (1, 3))


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(shape, dtype="<f4"):
    """The header of an array, whatever follows it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def refusal(path, **options):
    with pytest.raises(UserError) as error:
        take(read_arrays(path, **options), [INPUT], limit=None, where=str(path))
    return str(error.value).removeprefix(str(path))


PLAIN = npy(np.zeros((2, 3), np.float32))
END = "; expected an .npz with one array for each input of the model"
NONE = ": 'x' is no array of plain numbers" + END


@pytest.mark.parametrize("members,expected", [
    ({"x": b"text"}, NONE), ({"x.npy": b""}, NONE), ({"x.npy": b"\x93NUMPY"}, NONE), ({"x.npy": PLAIN[:40]}, NONE), ({"x.npy": b"\x93NUMPY\x09\x00" + PLAIN[8:]}, NONE),
    ({"x.npy": npy(np.array([None, {}]))}, NONE), ({"x.npy": npy(np.array(["a"]))}, NONE), ({"x.npy": npy(np.zeros(2, [("a", "f4")]))}, NONE),
    ({"x.npy": npy(np.zeros(2, np.complex64))}, NONE), ({"x.npy": npy(np.zeros(2, "M8[s]"))}, NONE),
    ({"x.npy": PLAIN.replace(b"(2, 3)", b"(2,-3)")}, NONE), ({"x.npy": PLAIN.replace(b"<f4", b"|O4")}, NONE), ({"x.npy": PLAIN.replace(b"(2, 3)", b"[2, 3]")}, NONE),
    ({"x.npy": PLAIN[:-1]}, ": array 'x' of shape (2, 3) has 23 bytes; expected 24, write it again"),
    ({"x.npy": PLAIN + b"0"}, ": array 'x' of shape (2, 3) has 25 bytes; expected 24, write it again"),
    ({"x.npy": header((2**62, 2**62))}, f": array 'x' of shape ({2**62}, {2**62}) has 0 bytes; expected {2**126}, write it again"),
    ({"y.npy": PLAIN}, ": no array 'x', found y; expected one for each input of the model"),
    ({f"{i:02d}": b"" for i in range(20)}, ": no array 'x', found 00, 01, 02, 03, 04, 05, 06, 07 and 12 more; expected one for each input of the model"),
    ({"\x1b[2J\n.npy": PLAIN}, r": no array 'x', found \x1b[2J\n; expected one for each input of the model"),
    ({}, ": no array 'x', found none; expected one for each input of the model"),
    ({"x.npy": npy(np.zeros((2, 4), np.float32))}, ": array 'x' has shape (2, 4); expected (1, 3), or a multiple of its leading dimension"),
    ({"x.npy": npy(np.zeros(3, np.float32))}, ": array 'x' has shape (3,); expected (1, 3), or a multiple of its leading dimension"),
    ({"x.npy": npy(np.float32(1))}, ": array 'x' has shape (); expected (1, 3), or a multiple of its leading dimension"),
    ({"x.npy": npy(np.zeros((2, 3), ">f4"))}, ": array 'x' is >f4; expected float32, as the model declares"),
    ({"x.npy": npy(np.zeros((2, 3), bool))}, ": array 'x' is bool; expected float32, as the model declares"),
])  # fmt: skip
def test_what_is_no_sample(members, expected, tmp_path):
    assert refusal(archive(tmp_path / "x.npz", members)) == expected


def test_a_damaged_member(tmp_path):
    path = archive(tmp_path / "x.npz", {"x.npy": npy(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))})
    data = bytearray(path.read_bytes())
    data[200] ^= 255
    path.write_bytes(data)
    assert refusal(path).startswith(": member x.npy damaged: ") and refusal(path).endswith("; expected one with an array for each input of the model")


def test_orders_and_versions(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, x, version=(2, 0))
    arrays = read_arrays(archive(tmp_path / "x.npz", {"c.npy": npy(x), "f.npy": npy(np.asfortranarray(x)), "two.npy": stream.getvalue(), "note": b"no array"}))
    assert list(arrays) == ["note", "c", "f", "two"]
    for name in ("c", "f", "two"):
        np.testing.assert_array_equal(arrays[name], x)
        np.testing.assert_array_equal(take({"x": arrays.rows(name, 2)}, [INPUT], limit=2, where="x")[1]["x"], x[1:2])


def test_a_single_array(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "x.npy", x)
    samples = take(read_arrays(tmp_path / "x.npy", single="x"), [INPUT], limit=None, where="x.npy")
    assert [sample["x"].tolist() for sample in samples] == [x[:1].tolist(), x[1:].tolist()]
    with pytest.raises(UserError, match=r"x\.npy: a single array; expected an \.npz with one array for each input of the model$"):
        read_arrays(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(b"text")
    with pytest.raises(UserError, match=r"x\.npy: not an \.npy file of plain numbers; expected one array for input x$"):
        read_arrays(tmp_path / "x.npy", single="x")


def bomb(path, rows):
    """Zeros: a thousandth of what they unpack to."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("x.npy", "w") as member:
        member.write(header((rows, 3)))
        for _ in range(rows * 12 // (1 << 20)):
            member.write(bytes(1 << 20))
        member.write(bytes(rows * 12 % (1 << 20)))
    return path


def test_a_bomb(tmp_path):
    rows = MOST_BYTES // 12 + 1
    path = bomb(tmp_path / "x.npz", rows)
    assert path.stat().st_size < 1 << 20
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert refusal(path) == (f": array 'x' of shape ({rows}, 3) unpacks to {rows * 12:,} bytes; expected at most {MOST_BYTES:,}, "
                             "give --limit or a file that is not packed")
    samples = take(read_arrays(path), [INPUT], limit=2, where=str(path))
    assert [sample["x"].tolist() for sample in samples] == [[[0, 0, 0]]] * 2
    assert time.process_time() - begin < 1 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def test_files_of_their_own_size_are_not_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("covenant.arrays.MOST_BYTES", 1000)
    np.savez(tmp_path / "x.npz", x=np.zeros((1000, 3), np.float32))
    assert len(take(read_arrays(tmp_path / "x.npz"), [INPUT], limit=None, where="x")) == 1000


@pytest.mark.parametrize("command", [("run", "--arch", "tiny", "--on", "iss", "--input"), ("quantize", "-o", "q.onnx", "--calibrate")])
@pytest.mark.parametrize("members,expected", [({"x": b"text"}, NONE), ({"x.npy": npy(np.array([None]))}, NONE)])
def test_both_commands(command, members, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kind = U8 if command[0] == "run" else 1
    model = model_of([node("Relu" if kind == 1 else "Identity", "x", "y")], {"x": (kind, (1, 3))}, {"y": (kind, (1, 3))}, {})
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    archive("x.npz", members)
    assert main([command[0], "m.onnx", *command[1:], "x.npz"]) == 2
    assert capsys.readouterr().err == f"covenant: x.npz{expected}\n"

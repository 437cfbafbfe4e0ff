"""Archives that lie: bounded before anything is unpacked, one family of errors, whatever is damaged."""

import io
import random
import struct
import tracemalloc
import zipfile

import pytest

from compiler.archive import MOST_DIRECTORY_BYTES, Archive, ArchiveError, read_bytes


def zipped(members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def refusal(data, name="a", most_bytes=1000):
    with pytest.raises(ArchiveError) as error:
        Archive(data).read(name, most_bytes=most_bytes)
    return str(error.value)


def peak_bytes(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_members_are_what_was_written():
    members = {"a": b"x" * 900, "b": b"", "deep/c": bytes(range(256)) * 12000}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = Archive(zipped(members, method))
        assert list(archive.sizes.items()) == [(name, len(data)) for name, data in members.items()]
        assert {name: archive.read(name, most_bytes=len(data)) for name, data in members.items()} == members


def test_what_is_larger_than_allowed_is_not_unpacked():
    data = zipped({"a": bytes(50 << 20)})
    assert len(data) < 1 << 20
    assert peak_bytes(lambda: refusal(data)) < 4 << 20
    assert refusal(data) == f"member a of {50 << 20} bytes, more than 1000"


def test_what_lies_about_its_size_is_not_unpacked_further():
    data = bytearray(zipped({"a": bytes(50 << 20)}))
    for place in (data.index(b"PK\x03\x04") + 22, data.index(b"PK\x01\x02") + 24):
        data[place : place + 4] = struct.pack("<I", 900)
    assert peak_bytes(lambda: refusal(bytes(data))) < 8 << 20
    assert refusal(bytes(data)) == "member a damaged: Bad CRC-32 for file 'a'"


def test_a_directory_is_bounded():
    data = zipped({f"{number:05d}" + "n" * 200: b"" for number in range(5000)})
    assert refusal(data).endswith(f" bytes, more than {MOST_DIRECTORY_BYTES}") and refusal(data).startswith("a directory of ")


@pytest.mark.parametrize(("data", "expected"), [
    (b"", "File is not a zip file"),
    (b"PK\x03\x04" + bytes(100), "File is not a zip file"),
    (zipped({"b": b""}), "no member a"),
    (zipped({"a": b"x"}, zipfile.ZIP_BZIP2), "member a packed by method 12, not stored or deflated"),
    (zipped({"a": b"x"}, zipfile.ZIP_LZMA), "member a packed by method 14, not stored or deflated"),
])
def test_refusals(data, expected):
    assert refusal(data) == expected


def test_a_name_that_stands_twice_is_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    assert refusal(stream.getvalue()) == "member 'a' twice"


def test_every_flipped_bit_is_refused_or_changes_nothing():
    members = {"a": random.Random(1).randbytes(40) * 3, "b": b"b"}
    data = zipped(members)
    refused = 0
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            try:
                archive = Archive(bytes(changed))
                assert {name: archive.read(name, most_bytes=1000) for name in members} == members
            except ArchiveError as error:
                refused += 1
                assert str(error) and "\n" not in str(error)
    assert refused > len(data)


def test_a_file_is_read_up_to_a_bound(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    assert read_bytes(tmp_path / "a", most_bytes=100) == bytes(100)
    with pytest.raises(ArchiveError) as error:
        read_bytes(tmp_path / "a", most_bytes=99)
    assert str(error.value) == "more than 99 bytes"


def test_a_file_without_end_is_not_read_to_its_end():
    def read():
        with pytest.raises(ArchiveError):
            read_bytes("/dev/zero", most_bytes=1000)

    assert peak_bytes(read) < 4 << 20

"""Checkpoints of strangers, whole by their checksum: refused in one message, at once, and without memory or code."""

from __future__ import annotations

import io
import json
import pickle
import resource
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from lehr.checkpoint.archive import NotPlain, read_archive
from lehr.checkpoint.format import FORMAT, DamagedCheckpoint, Position, read_checkpoint, read_position, write_checkpoint
from lehr.checkpoint.packing import MAX_DEPTH, pack, unpack

POSITION = {"epoch": 2, "epochs": 5, "step": 71, "finished": False, "skipping": False}
GIGABYTE = 2**20


def sealed(archive: bytes, comment: Any = None) -> bytes:
    """An archive with a comment and a checksum, as a checkpoint has them.

    Args:
        archive: a ZIP without a comment.
        comment: fields of the position, or the comment's text.
    """
    text = comment if isinstance(comment, bytes) else json.dumps({"format": FORMAT, **(comment or POSITION)}).encode()
    text += b"\n"
    data = archive[:-2] + struct.pack("<H", len(text) + 8) + text
    return data + f"{zlib.crc32(data):08x}".encode()


def saved(text: str, *blocks: torch.Tensor, **more: Any) -> bytes:
    """An archive as `torch.save` writes it."""
    file = io.BytesIO()
    torch.save({"format": FORMAT, "blocks": list(blocks), "content": text, **more}, file)
    return file.getvalue()


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


def refused(data: bytes, folder: Path) -> str:
    """The message by which a file is refused: within a second, and without memory for what is not there."""
    path = folder / "last.ckpt"
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    with pytest.raises(DamagedCheckpoint) as caught:
        read_checkpoint(path)
    assert time.perf_counter() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < max(before, GIGABYTE // 2) + GIGABYTE // 4
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message) < 1000
    return message


@pytest.mark.parametrize(
    "tensor",
    [
        "[0, 0, [700000000], [0]]",
        "[0, 0, [2, 3], [0, 1]]",
        "[0, 0, [4], [1]]",
        "[0, 1, [3], [1]]",
        "[0, 0, [2], [3]]",
        "[0, 0, [9223372036854775807, 9223372036854775807], [1, 1]]",
        "[0, 0, [0, 9007199254740993], [1, 1]]",
        "[0, -1, [1], [1]]",
        "[0, 0, [1], [-1]]",
        "[-1, 0, [1], [1]]",
        "[1, 0, [1], [1]]",
        "[0, 0, [1], []]",
        "[0, 0, [true], [1]]",
        '["0", 0, [1], [1]]',
        "[0, 0, [1.0], [1]]",
        "[0, 0, 1, 1]",
        "[0, 0, {}, {}]",
        "[0]",
        "5",
        f"[0, 0, {[1] * 100}, {[1] * 100}]",
    ],
)
def test_a_tensor_that_its_block_does_not_hold_is_refused(tensor: str, tmp_path: Path) -> None:
    assert "is damaged" in refused(sealed(saved(f'{{"a": {{"$tensor": {tensor}}}}}', torch.ones(3))), tmp_path)


def test_many_tensors_of_one_block_take_no_memory(tmp_path: Path) -> None:
    parts = ", ".join(['{"$tensor": [0, 0, [250000], [1]]}'] * 4000)  # 4 GB of 1 MB
    refused(sealed(saved(f'{{"a": [{parts}]}}', torch.ones(250_000))), tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + "}",
        '{"a": ' + "[" * 900 + "]" * 900 + "}",
        '{"a": [' + "[]," * 2_000_000 + "[]]}",
        '{"a": ' + "9" * 10_000 + "}",
        '{"a": {"$tuple": 5}}',
        '{"a": {"$tuple": {"b": 1}}}',
        '{"a": {"$pairs": 5}}',
        '{"a": {"$pairs": [5]}}',
        '{"a": {"$pairs": [[[], 1]]}}',
        '{"a": {"$pairs": [[1, 2, 3]]}}',
        '{"a": {"$pairs": [[1e999, 2]]}}',
        "5",
        "null",
        "[]",
        '{"a": 1',
    ],
)
def test_content_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    refused(sealed(saved(text, torch.ones(3))), tmp_path)


def test_keys_that_would_fill_one_place_of_a_dictionary_are_refused(tmp_path: Path) -> None:
    pairs = ", ".join(f"[{number * (2**61 - 1)}, 0]" for number in range(1, 50_000))  # all of the same hash
    refused(sealed(saved(f'{{"a": {{"$pairs": [{pairs}]}}}}', torch.ones(3))), tmp_path)


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved("{}", torch.zeros(1000)))) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert read_archive(bytearray(zipped(entries)), len(zipped(entries)) - 22)["content"] == "{}"
    entries["data/0"] = bytes(50_000_000)
    small = zipped(entries, zipfile.ZIP_DEFLATED)
    assert len(small) < 10**5
    assert "is damaged" in refused(sealed(small), tmp_path)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"data/0": bytes(1_000_000), **{f"data/{number}": b"" for number in range(1, 9)}}))
    place = data.index(b"PK\x01\x02")
    first = place
    while data[place : place + 4] == b"PK\x01\x02":  # all entries are the first one
        for field in (20, 24, 42):
            data[place + field : place + field + 4] = data[first + field : first + field + 4]
        place += 46 + sum(struct.unpack_from("<HHH", data, place + 28))
    with pytest.raises(ValueError, match="overlap"):
        read_archive(data, len(data) - 22)
    refused(sealed(bytes(data)), tmp_path)


@pytest.mark.parametrize("count", [1, 5, 60_000])
def test_a_directory_that_is_not_there_is_refused(count: int, tmp_path: Path) -> None:
    data = bytearray(saved("{}", torch.ones(3)))
    end = data.rindex(b"PK\x05\x06")
    for place, form in ((end - 20 - 56 + 24, "<QQ"), (end + 8, "<HH")):
        struct.pack_into(form, data, place, count, count)
    struct.pack_into("<QQ", data, end - 20 - 56 + 40, 2**63, 2**63)
    refused(sealed(bytes(data)), tmp_path)


class Call:
    """Pickled, it calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> Any:
        return self.made


def with_pickle(program: bytes) -> bytes:
    return zipped({"data.pkl": program, "byteorder": b"little", "data/0": bytes(4)})


def block(size: int, stride: int = 1, count: int = 1) -> bytes:
    """A pickle of a block whose tensor is larger than it."""
    storage = (
        b"((X\x07\0\0\0storageqactorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ" + struct.pack("<i", count) + b"tQ"
    )
    tensor = (
        b"J" + struct.pack("<i", 0) + b"J" + struct.pack("<i", size) + b"\x85J" + struct.pack("<i", stride) + b"\x85"
    )
    program = b"\x80\x02}(X\x06\0\0\0blocks]ctorch._utils\n_rebuild_tensor_v2\n" + storage + tensor
    return program + b"\x89ccollections\nOrderedDict\n)RtRau."


@pytest.mark.parametrize(
    "program",
    [
        pickle.dumps({"format": FORMAT, "x": Call(print, "ran")}, 2),
        pickle.dumps({"format": FORMAT, "x": Call(bytearray, 10**10)}, 2),
        pickle.dumps({"format": FORMAT, "x": Call(eval, "1")}, 4),
        b"\x80\x02cos\nsystem\n(X\x04\0\0\0true\x85R.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02}}bR.",
        b"\x80\x02(i__main__\nX\n.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_a_pickle_that_would_do_more_is_refused_without_being_run(
    program: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "do not trust this file" in refused(sealed(with_pickle(program)), tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "program",
    [
        block(10**9),
        block(10**9, stride=0),
        block(2, count=2),
        b"",
        b".",
        b"\x80\x02}",
        b"\x80\x02].",
        b"\x80\x02(.",
        b"\x80\x02R.",
        b"\x80\x02t.",
        b"\x80\x02u.",
        b"\x80\x02h\x05.",
        b"\x80\x02)Q.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02}r\xff\xff\xff\xff.",
        b"\x80\x02}X\x01\0\0\0aX\xff\xff\xff\x7f",
        b"\x80\x02}]X\x01\0\0\0as.",
        b"\x80\x02" + b"\x85" * 100_000 + b".",
        b"\x80\x02}X\x01\0\0\0a" + b"]" * 1000 + b"a" * 999 + b"s.",
        b"\x80\x02}X\x01\0\0\0a]q\0" + b"".join(b"]h%ch%caaq%c" % (i, i, i + 1) for i in range(60)) + b"s.",
        b"\x80\x02}X\x01\0\0\0a]q\0h\0as.",
        b"\x80\x02" + b"(" * 2_000_000,
    ],
)
def test_a_pickle_that_is_damaged_is_refused(program: bytes, tmp_path: Path) -> None:
    refused(sealed(with_pickle(program)), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "x"},
        {"epoch": "\nssh-ed25519 AAAA"},
        {"epoch": -1},
        {"epoch": 10**30},
        {"epoch": 1.5},
        {"epoch": True},
        {"epoch": None},
        {"epoch": []},
        {"step": {}},
        {"epochs": "5"},
        {"finished": 1},
        {"finished": "no"},
        {"skipping": None},
        {"more": 1},
        {"format": 5},
        {"format": [FORMAT]},
    ],
)
def test_a_position_that_is_none_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    data = sealed(saved("{}", torch.ones(3)), {**POSITION, **change})
    refused(data, tmp_path)
    with pytest.raises(DamagedCheckpoint):
        read_position(tmp_path / "last.ckpt")


@pytest.mark.parametrize("comment", [b"[" * 60_000, b'{"format": "lehr-state-1"' + b', "a": [' * 7000, b"5" * 60_000])
def test_a_comment_that_is_none_is_refused(comment: bytes, tmp_path: Path) -> None:
    refused(sealed(saved("{}", torch.ones(3)), comment), tmp_path)
    start = b'{"format": "lehr-state-1", "epoch": '
    refused(sealed(saved("{}", torch.ones(3)), start + comment[: 60_000 - len(start)]), tmp_path)


def test_what_was_hostile_is_read_where_it_is_not(tmp_path: Path) -> None:
    position = Position(2, 5, 71)
    content = {
        "a": torch.arange(6.0).view(2, 3).T,
        "b": [{1: torch.tensor(True), 2: torch.zeros(0, 3)}, (1, "x")],
        "kinds": [torch.ones(3, dtype=dtype) for dtype in (torch.bfloat16, torch.half, torch.int8, torch.complex64)],
    }
    write_checkpoint(tmp_path, content, position)
    read = read_checkpoint(tmp_path / "last.ckpt").content
    assert pack(read)[1] == pack(unpack(*pack(content)))[1]
    assert torch.equal(read["a"], content["a"]) and read["b"][0][1].dtype is torch.bool
    assert [each.dtype for each in read["kinds"]] == [each.dtype for each in content["kinds"]]


def test_an_archive_of_more_than_32_bits_is_read() -> None:
    data = bytearray(zipped({"data.pkl": pickle.dumps({"content": "x"}, 2)}))
    place, end = data.index(b"PK\x01\x02"), len(data) - 22
    size, offset = struct.unpack_from("<I", data, place + 24)[0], struct.unpack_from("<I", data, place + 42)[0]
    struct.pack_into("<II", data, place + 20, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<I", data, place + 42, 2**32 - 1)
    name = struct.unpack_from("<H", data, place + 28)[0]
    field = struct.pack("<HHQQQ", 1, 24, size, size, offset)
    struct.pack_into("<H", data, place + 30, len(field))
    data[place + 46 + name : place + 46 + name] = field
    end += len(field)
    struct.pack_into("<I", data, end + 12, end - place)
    assert read_archive(data, end) == {"content": "x"}


def test_the_name_of_what_would_be_run_is_not_looked_up() -> None:
    data = with_pickle(b"\x80\x02cno_such_module\nx\n.")
    with pytest.raises(NotPlain, match="no_such_module"):
        read_archive(bytearray(data), len(data) - 22)


def test_a_pickle_written_by_hand_is_read_where_it_is_whole() -> None:
    data = with_pickle(block(1))
    assert torch.equal(read_archive(bytearray(data), len(data) - 22)["blocks"][0], torch.zeros(1))

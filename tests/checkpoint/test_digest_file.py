"""digests.bin: records at the place of their step, whatever was cut off, written over or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lehr.checkpoint.digest_file import DIGESTS, STEP, DigestWriter, Header, open_digests
from lehr.errors import InputError

HEADER = Header(images=2, batches=3, parts=("box", "cls"), tensors=("a", "b"))


def record(step: int, value: int = 7) -> np.ndarray:
    made = np.zeros((), HEADER.dtype)
    made["kind"], made["step"], made["pixels"], made["count"] = STEP, step, value, 2
    return made


def written(folder: Path, steps: range, begin: int, value: int = 7) -> None:
    writer = DigestWriter(folder / DIGESTS, HEADER, begin)
    for step in steps:
        writer.write(record(step, value))
    writer.close()


def steps_of(folder: Path) -> dict[int, int]:
    file = open_digests(folder)
    assert file is not None and file.header == HEADER
    return {int(each["step"]): int(each["pixels"][0]) for block in file.blocks() for each in block if each["kind"]}


def test_a_run_that_goes_on_or_back_writes_over_its_steps(tmp_path: Path) -> None:
    written(tmp_path, range(5), 0)
    whole = (tmp_path / DIGESTS).read_bytes()
    written(tmp_path, range(3, 5), 3)
    assert (tmp_path / DIGESTS).read_bytes() == whole
    written(tmp_path, range(2, 3), 2, 9)
    assert steps_of(tmp_path) == {0: 7, 1: 7, 2: 9}
    writer = DigestWriter(tmp_path / DIGESTS, HEADER, 3)
    for step, value in ((3, 1), (4, 1), (1, 2), (2, 2), (3, 2)):
        writer.write(record(step, value))
    writer.close()
    assert steps_of(tmp_path) == {0: 7, 1: 2, 2: 2, 3: 2, 4: 1}


def test_what_was_not_recorded_or_is_damaged_is_none(tmp_path: Path) -> None:
    written(tmp_path, range(4, 6), 4)  # begun in the middle of a run
    assert steps_of(tmp_path) == {4: 7, 5: 7}
    path = tmp_path / DIGESTS
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data[:-2] + data[-2:] + b"torn")
    assert steps_of(tmp_path) == {4: 7}
    file = open_digests(tmp_path)
    assert file is not None
    assert file.at(4) is not None and file.at(5) is None and file.at(0) is None and file.at(10**9) is None


def test_another_layout_begins_the_file_anew(tmp_path: Path) -> None:
    written(tmp_path, range(3), 0)
    other = Header(images=3, batches=3, parts=("box",), tensors=())
    DigestWriter(tmp_path / DIGESTS, other, 2).close()
    file = open_digests(tmp_path)
    assert file is not None and file.header == other and file.at(1) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"[" * 100_000,
        b'{"format":"lehr-digests-2","images":1,"batches":1,"parts":[],"tensors":[]}\n',
        b'{"format":"lehr-digests-1","images":1000000000,"batches":1,"parts":[],"tensors":[]}\n',
        b"\xff\n",
    ],
)
def test_files_of_others_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / DIGESTS).write_bytes(data)
    with pytest.raises(InputError, match=r"digests\.bin: is damaged"):
        open_digests(tmp_path)


def test_links_are_neither_read_nor_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(HEADER.line)
    (tmp_path / DIGESTS).symlink_to(victim)
    with pytest.raises(InputError, match="symbolic link"):
        open_digests(tmp_path)
    with pytest.raises(OSError, match="link"):
        DigestWriter(tmp_path / DIGESTS, HEADER, 0)
    assert victim.read_bytes() == HEADER.line
    assert open_digests(tmp_path / "nothing") is None

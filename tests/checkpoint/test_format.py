"""A checkpoint file: whole or refused, and never code."""

from __future__ import annotations

import json
import pickle
import random
import struct
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from lehr.checkpoint.format import (
    FORMAT,
    DamagedCheckpoint,
    Position,
    newest_checkpoint,
    read_checkpoint,
    read_position,
    write_checkpoint,
)
from lehr.checkpoint.packing import pack, unpack
from lehr.checkpoint.snapshot import snapshot
from lehr.errors import InputError

POSITION = Position(epoch=2, epochs=5, step=71)


def content(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    weights = {f"layer.{i}": torch.randn(16, 8, 3, 3, generator=generator) for i in range(4)}
    return {"state": {"weights": weights, "step": 71, "rows": [{"map": 0.5, "loss": None}]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with two whole checkpoints."""
    write_checkpoint(tmp_path, content(1), Position(1, 5, 40))
    write_checkpoint(tmp_path, content(2), POSITION)
    return tmp_path


def test_what_is_written_is_read(folder: Path) -> None:
    for name, seed in (("last.ckpt", 2), ("previous.ckpt", 1)):
        read = read_checkpoint(folder / name).content["state"]
        for key, value in content(seed)["state"]["weights"].items():
            assert torch.equal(read["weights"][key], value)
        assert read["rows"] == [{"map": 0.5, "loss": None}]
    assert read_checkpoint(folder / "last.ckpt").position == read_position(folder / "last.ckpt") == POSITION


def test_torch_itself_reads_the_file(folder: Path) -> None:
    loaded = torch.load(folder / "last.ckpt", weights_only=True)
    assert loaded["format"] == FORMAT and json.loads(loaded["content"])["state"]["step"] == 71


def test_memory_layout_survives(tmp_path: Path) -> None:
    weight = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path, snapshot({"w": weight})[0], POSITION)
    assert read_checkpoint(tmp_path / "last.ckpt").content["w"].stride() == weight.stride()


def assert_refused_and_previous_used(folder: Path, damaged: bytes) -> None:
    (folder / "last.ckpt").write_bytes(damaged)
    with pytest.raises(DamagedCheckpoint):
        read_checkpoint(folder / "last.ckpt")
    told: list[str] = []
    found = newest_checkpoint(folder, told.append)
    assert found is not None and found.path.name == "previous.ckpt" and found.position.step == 40
    assert len(told) == 1 and "last.ckpt" in told[0] and "previous.ckpt" in told[0]


def test_a_thousand_truncations_are_noticed(folder: Path) -> None:
    whole = (folder / "last.ckpt").read_bytes()
    rng = random.Random(0)
    # The ends are where a cut is hardest to see; so all of the last 200 points, and others anywhere.
    points = {*range(len(whole) - 200, len(whole)), 0, 1, *rng.sample(range(len(whole) - 200), 798)}
    assert len(points) == 1000
    for point in points:
        assert_refused_and_previous_used(folder, whole[:point])


def test_a_thousand_flipped_bits_are_noticed(folder: Path) -> None:
    whole = (folder / "last.ckpt").read_bytes()
    rng = random.Random(0)
    bits = {*range((len(whole) - 20) * 8, len(whole) * 8), *rng.sample(range((len(whole) - 20) * 8), 840)}
    assert len(bits) == 1000
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        assert_refused_and_previous_used(folder, bytes(damaged))


def test_zeroed_blocks_are_noticed(folder: Path) -> None:
    whole = (folder / "last.ckpt").read_bytes()
    for start in range(0, len(whole) - 4096, 1024):
        if whole[start : start + 4096].strip(b"\0"):
            assert_refused_and_previous_used(folder, whole[:start] + bytes(4096) + whole[start + 4096 :])


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("archive", [True, False])
def test_a_file_that_would_run_code_is_refused_and_nothing_runs(archive: bool, tmp_path: Path) -> None:
    victim, trap = tmp_path / "ran", tmp_path / "last.ckpt"
    poison = {**content(), "trap": Evil(victim)}
    torch.save(poison, trap, _use_new_zipfile_serialization=archive)
    with pytest.raises(DamagedCheckpoint):
        read_checkpoint(trap)
    # And with all that makes a checkpoint of Lehr's look whole.
    data = bytearray(trap.read_bytes())
    comment = json.dumps({"format": FORMAT, **asdict(POSITION)}).encode() + b"\n"
    if archive:
        data[-2:] = struct.pack("<H", len(comment) + 8)
    else:
        data += b"PK\x05\x06" + bytes(18)
    data += comment
    data += f"{zlib.crc32(data):08x}".encode()
    trap.write_bytes(data)
    assert read_position(trap) == POSITION
    with pytest.raises(DamagedCheckpoint, match="do not trust" if archive else None):
        read_checkpoint(trap)
    assert not victim.exists()
    pickle.loads(pickle.dumps(Evil(victim)))
    assert victim.exists()  # the trap does work


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"no checkpoint", bytes(100_000), b'PK\x05\x06{"format": "lehr-state-1"}']
)
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(data)
    with pytest.raises(DamagedCheckpoint, match=r"x\.ckpt"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_what_torch_saved_otherwise_is_refused(tmp_path: Path) -> None:
    torch.save({"model": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(DamagedCheckpoint, match="not a checkpoint of Lehr"):
        read_checkpoint(tmp_path / "other.pt")


def test_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.checkpoint.format.FORMAT", "lehr-state-9")
    write_checkpoint(tmp_path, content(), POSITION)
    monkeypatch.undo()
    with pytest.raises(DamagedCheckpoint, match=r"format lehr-state-9; this version of Lehr reads lehr-state-1"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_between_the_two_renames_the_previous_one_is_there(folder: Path) -> None:
    (folder / "last.ckpt").unlink()
    found = newest_checkpoint(folder, lambda line: pytest.fail(line))
    assert found is not None and found.position.step == 40


def test_without_checkpoints_there_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path, lambda line: pytest.fail(line)) is None


def test_when_both_are_damaged_both_are_named(folder: Path) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(DamagedCheckpoint, match=r"(?s)last\.ckpt.*previous\.ckpt.*start a new run"):
        newest_checkpoint(folder, lambda line: None)


def test_what_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(TypeError, match="holds tensors, numbers and text"):
        snapshot({"version": type("Version", (str,), {})("1.0")})


def test_a_copy_on_the_host_does_not_follow_the_original() -> None:
    weight = torch.ones(3)
    copied, blocks = snapshot({"w": [weight]})
    weight.zero_()
    assert torch.equal(copied["w"][0], torch.ones(3))
    again, same = snapshot({"w": [weight]}, blocks)  # the memory is used again where it fits
    assert same[torch.float32] is blocks[torch.float32] and torch.equal(again["w"][0], torch.zeros(3))
    _, other = snapshot({"w": [weight, weight]}, blocks)
    assert other[torch.float32] is not blocks[torch.float32]


def test_packing_keeps_types_values_and_strides() -> None:
    base = torch.arange(24.0)
    content = {
        "views": [base[2:8].view(2, 3), base.view(2, 3, 4).transpose(0, 2)],
        "kinds": {"i": torch.arange(3), "b": torch.tensor(True), "none": torch.zeros(0), "h": torch.ones(2).half()},
        "numbers": (1, 0.1, -1e-300, float("inf"), True, None, "text", "$tensor"),
        3: {0: {"step": torch.tensor(4.0)}, 1: {}},
        "empty": [{}, [], ()],
    }
    blocks, text = pack(content)
    assert len(blocks) == 6  # the two views share one
    back = unpack(blocks, text)
    for one, other in ((content["views"], back["views"]), ([*content["kinds"].values()], [*back["kinds"].values()])):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)
    assert back["numbers"] == content["numbers"] and type(back["numbers"][4]) is bool
    assert back[3][0]["step"] == 4 and back[3][1] == {} and back["empty"] == [{}, [], ()]


@pytest.mark.parametrize(
    "text", ["", "[", "3", '{"a": {"$tensor": [7, 0, [1], [1]]}}', '{"a": {"$tensor": [0, 90, [9], [1]]}}', "[1]"]
)
def test_a_whole_file_with_nonsense_in_it_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.checkpoint.format.pack", lambda content: ([torch.ones(3)], text))
    write_checkpoint(tmp_path, content(), POSITION)
    with pytest.raises(DamagedCheckpoint):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_checkpoint_that_is_no_place_to_go_back_to_does_not_take_the_place_of_one_that_is(folder: Path) -> None:
    write_checkpoint(folder, content(3), Position(2, 5, 80, skipping=True))
    assert read_position(folder / "previous.ckpt") == POSITION
    write_checkpoint(folder, content(4), Position(2, 5, 90, skipping=True))
    assert read_position(folder / "previous.ckpt") == POSITION
    (folder / "last.ckpt").write_bytes(b"damaged")
    write_checkpoint(folder, content(5), Position(2, 5, 95))
    assert read_position(folder / "previous.ckpt") == POSITION


def test_a_full_disk_is_named_and_both_checkpoints_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lehr.checkpoint.format import _Archive

    def full(archive: _Archive, data: bytes) -> None:
        archive.error = OSError(28, "No space left on device")
        raise archive.error

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(_Archive, "_put", full)
    with pytest.raises(InputError, match=r"last\.ckpt: cannot be written \(No space left on device\)"):
        write_checkpoint(folder, content(3), POSITION)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

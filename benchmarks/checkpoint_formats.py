"""The checkpoint's container next to safetensors with JSON metadata: time, size, and detection of damage.

    python benchmarks/checkpoint_formats.py [--model yolov8n] [--turns 15] [--damages 1000]

Both hold the same state (weights, average, two moments each) as blocks and text (see `lehr.checkpoint.packing`), and
are written to disk in alternating turns; the current container ("today's") also replaces the previous checkpoint. The
safetensors file has a CRC-32 of its blocks, their table and its text in its metadata, since the format has none, or
goes without it ("bare").
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lehr.checkpoint.format import FORMAT, DamagedCheckpoint, Position, read_checkpoint, read_position, write_checkpoint
from lehr.checkpoint.packing import pack, unpack
from lehr.models.build import build_model

POSITION = Position(epoch=3, epochs=100, step=1234)


def state_of(name: str) -> dict[str, Any]:
    """Build a training state as large as a run's: weights, their average and two moments."""
    weights = build_model(name, tuple(map(str, range(80))), 640).state_dict()
    torch.manual_seed(0)
    parts = {part: {key: torch.randn_like(value.float()) for key, value in weights.items()} for part in ("m", "v")}
    ema = {key: value.clone() for key, value in weights.items()}
    return {"state": {"model": weights, "ema": ema, "moments": parts, "rows": [{"epoch": 1, "map": 0.5}] * 100}}


def checksum(blocks: dict[str, torch.Tensor], text: str) -> str:
    """CRC-32 of everything that a reader interprets: the table of the blocks, the text, and the blocks."""
    table = json.dumps([[name, str(each.dtype), list(each.shape)] for name, each in blocks.items()])
    crc = zlib.crc32((table + text + json.dumps(asdict(POSITION))).encode())
    for each in blocks.values():
        crc = zlib.crc32(memoryview(each.numpy()).cast("B") if each.numel() else b"", crc)
    return f"{crc:08x}"


def write_safetensors(path: Path, content: dict[str, Any], *, summed: bool = True) -> None:
    """Write the blocks and text of the container as safetensors."""
    packed, text = pack(content)
    blocks = {f"{number:05}": each for number, each in enumerate(packed)}
    metadata = {"format": FORMAT, "position": json.dumps(asdict(POSITION)), "content": text}
    if summed:
        metadata["crc"] = checksum(blocks, text)
    save_file(blocks, path, metadata)


def read_safetensors(path: Path, *, summed: bool = True) -> Any:
    """Read what `write_safetensors` wrote.

    Raises:
        ValueError: the checksum differs.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        blocks = {name: file.get_tensor(name) for name in sorted(file.keys())}
    if metadata["format"] != FORMAT or Position(**json.loads(metadata["position"])) != POSITION:
        raise ValueError("the checksum differs")
    if summed and checksum(blocks, metadata["content"]) != metadata["crc"]:
        raise ValueError("damaged")
    return unpack(list(blocks.values()), metadata["content"])


def position_of_safetensors(path: Path) -> Position:
    """Read the position from the header alone."""
    with safe_open(path, "pt") as file:
        return Position(**json.loads(file.metadata()["position"]))


def flush(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def milliseconds(action: Callable[[], Any]) -> tuple[float, float]:
    """Wall time and processor time of this thread, milliseconds."""
    started, computed = time.perf_counter(), time.thread_time()
    action()
    return (time.perf_counter() - started) * 1e3, (time.thread_time() - computed) * 1e3


def damages_noticed(path: Path, read: Callable[[Path], Any], count: int) -> tuple[int, int]:
    """Count how many of `count` flipped bits and of `count` truncations are noticed."""
    data, rng, noticed = path.read_bytes(), np.random.default_rng(0), [0, 0]
    spoiled = path.with_name("spoiled.ckpt")
    for kind in range(2):
        for _ in range(count):
            changed = bytearray(data)
            if kind:
                del changed[int(rng.integers(len(data))) :]
            else:  # half of them near the start or the end, where the structure is
                near = min(len(data), 20_000)
                place = int(rng.integers(len(data))) if rng.random() < 0.5 else int(rng.integers(2 * near)) - near
                changed[place] ^= 1 << int(rng.integers(8))
            spoiled.write_bytes(changed)
            try:
                read(spoiled)
            except (DamagedCheckpoint, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, IndexError):
                noticed[kind] += 1
    return noticed[0], noticed[1]


def main() -> None:
    """Print a row per container."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--damages", type=int, default=1000)
    given = parser.parse_args()
    content = state_of(given.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, ours = folder / "state.safetensors", folder / "last.ckpt"
        ways: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any], Path]] = {
            "today's": (
                lambda: write_checkpoint(folder, content, POSITION),
                lambda: read_checkpoint(ours),
                lambda: read_position(ours),
                ours,
            ),
            "safetensors, CRC": (
                lambda: (write_safetensors(file, content), flush(file)),
                lambda: read_safetensors(file),
                lambda: position_of_safetensors(file),
                file,
            ),
            "safetensors, bare": (
                lambda: (write_safetensors(file, content, summed=False), flush(file)),
                lambda: read_safetensors(file, summed=False),
                lambda: position_of_safetensors(file),
                file,
            ),
        }
        times: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in ways}
        for _ in range(given.turns + 1):
            for name, (write, read, position, _path) in ways.items():
                times[name].append([milliseconds(write), milliseconds(read), milliseconds(position)])
        print(f"{given.model}: ms, median of {given.turns}: wall (thread)")
        for name, (write, *_rest, path) in ways.items():
            write()
            cells = []
            for part in range(3):
                wall, thread = (statistics.median(turn[part][kind] for turn in times[name][1:]) for kind in range(2))
                cells.append(f"{wall:8.2f} ({thread:7.2f})")
            print(f"{name:18} write {cells[0]}  read {cells[1]}  position {cells[2]}  {path.stat().st_size} bytes")
        if given.damages:
            small = {"state": {"model": {"w": torch.randn(4000), "n": torch.arange(300)}, "rows": [[1, 2.5]] * 50}}
            readers = {"today's": read_checkpoint, "safetensors, CRC": read_safetensors}
            readers["safetensors, bare"] = lambda path: read_safetensors(path, summed=False)
            for name, reader in readers.items():
                if name == "today's":
                    write_checkpoint(folder, small, POSITION)
                    path = ours
                else:
                    write_safetensors(file, small, summed="CRC" in name)
                    path = file
                flips, cuts = damages_noticed(path, reader, given.damages)
                print(
                    f"{name:18} noticed {flips} of {given.damages} flipped bits, {cuts} of {given.damages} truncations"
                )


if __name__ == "__main__":
    main()

"""Videos changed as chance or somebody hostile would are read or refused in one message, in bounded time and memory."""

from __future__ import annotations

import itertools
import random
import resource
import time
from pathlib import Path

import pytest
from tests.prediction.videos import video_bytes

from lehr.errors import InputError
from lehr.prediction.video import read_video

SECONDS, MEGABYTES, FRAMES = 5.0, 500, 200
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SEEDS = (
    ("mp4", {}),
    ("mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("matroska", {}),
    ("mpegts", {}),
    ("avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
    ("flv", {}),
    ("matroska", {"codec": "mpeg4"}),
)


def change(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, put in large numbers, lose, repeat or exchange parts; the header is hit as often as all the rest."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        if not changed:
            break
        at = rng.randrange(min(len(changed), rng.choice([64, 1000, len(changed)])))
        kind = rng.random()
        if kind < 0.4:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind < 0.7:
            number = rng.choice(NUMBERS).to_bytes(4, rng.choice(["big", "little"]))
            changed[at : at + 4] = number
        elif kind < 0.8:
            del changed[at : at + rng.choice([1, 16, 500])]
        elif kind < 0.9:
            changed[at:at] = changed[at : at + rng.choice([1, 16, 500])] * rng.choice([1, 3, 50])
        elif len(changed) > 100:
            del changed[rng.randrange(100, len(changed)) :]
    return bytes(changed)


def read_mutants(folder: Path, count: int, seed: int) -> tuple[int, int, float]:
    """Read mutants; how many were read and refused, and the seconds of the slowest."""
    seeds = [video_bytes(container, 15, **options) for container, options in SEEDS]
    read = refused = 0
    slowest = 0.0
    path = folder / "v.bin"
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        path.write_bytes(change(rng.choice(seeds), rng))
        began = time.process_time()
        try:
            times = [frame.time for frame in itertools.islice(read_video(path), FRAMES)]
            assert all(later > earlier for earlier, later in itertools.pairwise(times)), number  # type: ignore[operator]
            read += 1
        except InputError as error:
            assert str(error).startswith(f"{path}: ") and len(str(error)) < 1000, number
            refused += 1
        slowest = max(slowest, time.process_time() - began)
        assert slowest < SECONDS, number
    return read, refused, slowest


def require_bounded(folder: Path, count: int) -> tuple[int, int, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = read_mutants(folder, count, seed=1)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES
    return result


def test_a_hundred_changed_videos_are_read_or_refused(tmp_path: Path) -> None:
    read, refused, _ = require_bounded(tmp_path, 100)
    assert read > 20 and refused > 5


@pytest.mark.slow
def test_thousands_of_changed_videos_are_read_or_refused(tmp_path: Path) -> None:
    read, refused, slowest = require_bounded(tmp_path, 5000)
    assert read > 1000 and refused > 250 and slowest < SECONDS

"""Files that are damaged anywhere are read alike by all, or refused: no other error, no other size, no long wait."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from tests.data.images.test_damage import file_of
from tests.data.images.test_orientation import encoded, tiff16

from lehr.data.images import ImageFault, probe_image, read_image

SEEDS = {
    "a.jpg": lambda: encoded("JPEG", 6),
    "a.png": lambda: encoded("PNG", 6),
    "a.tif": lambda: encoded("TIFF", 6),
    "b.tif": lambda: tiff16(8, ">"),
    "a.webp": lambda: encoded("WEBP", 6),
    "a.avif": lambda: encoded("AVIF", 6),
    "a.gif": lambda: file_of("gif"),
    "a.bmp": lambda: file_of("bmp"),
    "a.ppm": lambda: file_of("ppm"),
}
ROUNDS = 60


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Change, remove or insert a few bytes, most of them in the header; or cut the end."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, len(changed) if rng.random() < 0.4 else min(len(changed), 120)))
        kind = int(rng.integers(0, 5))
        if kind == 0:
            changed[at] = int(rng.integers(0, 256))
        elif kind == 1:
            del changed[at : at + int(rng.integers(1, 20))]
        elif kind == 2:
            changed[at:at] = rng.integers(0, 256, int(rng.integers(1, 20)), np.uint8).tobytes()
        elif kind == 3:
            changed[at : at + 4] = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"][int(rng.integers(0, 3))]
        else:
            changed = changed[: max(at, 1)]
        changed = changed or bytearray(b"x")
    return bytes(changed)


@pytest.mark.parametrize("name", list(SEEDS))
def test_whatever_is_damaged_is_read_alike_or_refused(name: str, tmp_path: Path) -> None:
    rng, seed, path = np.random.default_rng(7), SEEDS[name](), tmp_path / name
    read = 0
    for _ in range(ROUNDS):
        path.write_bytes(mutate(seed, rng))
        size = pixels = None
        try:
            size = probe_image(path)
            pixels = read_image(path)
        except ImageFault as fault:
            assert str(path) in str(fault)
        if pixels is not None:
            assert pixels.shape[1::-1] == size
            read += 1
    assert read < ROUNDS


def test_a_damaged_length_in_a_png_makes_no_room_for_it(tmp_path: Path) -> None:
    data = bytearray(file_of("png"))
    at = data.find(b"IDAT") - 4
    data[at : at + 4] = b"\x7f\xff\x00\x00"
    (tmp_path / "a.png").write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(ImageFault, match=r"a\.png: is truncated"):
        read_image(tmp_path / "a.png")
    assert time.perf_counter() - start < 1

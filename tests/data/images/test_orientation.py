"""Orientation is one rule in every format that has it, for the size and for the pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lehr.data.images import probe_image, read_image

FORMATS = ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"]
WIDTH, HEIGHT = 72, 48


def stored() -> NDArray[np.uint8]:
    """An image without symmetry."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[4:20, 6:30], pixels[28:44, 40:70] = (230, 20, 20), (20, 20, 230)
    return pixels


def displayed(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """What EXIF's table says: where the first row and the first column of the stored image are."""
    return {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p[::-1].transpose(1, 0, 2),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: p[:, ::-1].transpose(1, 0, 2),
    }[orientation](pixels)


def encoded(name: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(stored()).save(file, name, exif=exif, quality=95)
    return file.getvalue()


def compare(path: Path, orientation: int) -> None:
    wanted, pixels = displayed(stored(), orientation), read_image(path)
    assert probe_image(path) == (wanted.shape[1], wanted.shape[0])
    assert pixels.shape == wanted.shape
    assert np.abs(pixels.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", FORMATS)
def test_size_and_pixels_are_as_displayed(name: str, orientation: int, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(encoded(name, orientation))
    compare(tmp_path / "image", orientation)


def tiff16(orientation: int, order: str) -> bytes:
    """A TIFF of 16 bits, uncompressed, grey."""
    samples = np.repeat(stored()[:, :, :1], 1, 2)[:, :, 0].astype(order + "u2") * 257
    raw = samples.tobytes()
    tags = [
        (256, 3, WIDTH),
        (257, 3, HEIGHT),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (274, 3, orientation),
    ]
    tags += [(277, 3, 1), (278, 3, HEIGHT), (279, 4, len(raw))]
    entries = b"".join(
        struct.pack(f"{order}HHI{'HH' if kind == 3 else 'I'}", tag, kind, 1, *([value, 0] if kind == 3 else [value]))
        for tag, kind, value in tags
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(raw))
    return head + raw + struct.pack(order + "H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_is_turned_once(orientation: int, order: str, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff16(orientation, order))
    wanted = displayed(np.repeat(stored()[:, :, :1], 3, 2), orientation)
    assert probe_image(tmp_path / "a.tif") == (wanted.shape[1], wanted.shape[0])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), wanted)


def test_exif_after_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    plain = cv2.imencode(".png", stored()[:, :, ::-1])[1].tobytes()
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "late.png").write_bytes(plain[:-12] + chunk + plain[-12:])
    compare(tmp_path / "late.png", 6)
    broken = chunk[:-1] + bytes([chunk[-1] ^ 1])  # not a chunk: pixels may hold these letters
    (tmp_path / "none.png").write_bytes(plain[:-12] + plain[-12:] + broken)
    compare(tmp_path / "none.png", 1)


def test_a_preview_in_exif_is_not_taken_for_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    preview = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0") + bytes(30000) + preview
    plain = encoded("JPEG", 1)
    (tmp_path / "a.jpg").write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:])
    compare(tmp_path / "a.jpg", 8)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_orientations_that_do_not_exist_leave_the_image(value: int, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", value))
    compare(tmp_path / "a.jpg", 1)

"""Regions of image files are the pixels of the whole image there."""

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

from lehr.data.images import ImageFault, ImageRegions, read_image

REGIONS = [(0, 0, 1, 1), (13, 5, 90, 77), (60, 100, 151, 131), (0, 0, 151, 131), (150, 130, 151, 131)]


def smooth(width: int = 151, height: int = 131, channels: int = 3) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 256, (9, 11, channels), np.uint8), (width, height)).reshape(height, width, -1)


def tiled_tiff(
    pixels: NDArray[np.uint8], side: int, compression: int, order: str = "<", separate: bool = False
) -> bytes:
    """A tiled TIFF by hand: deflate (8), or JPEG in each tile (7)."""
    height, width, bands = pixels.shape
    across, down = -(-width // side), -(-height // side)
    padded = np.zeros((down * side, across * side, bands), np.uint8)
    padded[:height, :width] = pixels
    blocks = []
    for band in range(bands) if separate else (slice(None),):
        for y in range(down):
            for x in range(across):
                tile = padded[y * side : (y + 1) * side, x * side : (x + 1) * side, band]
                if compression == 8:
                    blocks.append(zlib.compress(tile.tobytes()))
                else:
                    file = io.BytesIO()
                    Image.fromarray(tile).save(file, "JPEG", quality=90)
                    blocks.append(file.getvalue())
    offsets, at = [], 8
    for block in blocks:
        offsets.append(at)
        at += len(block) + len(block) % 2
    tags = [
        (256, [width]), (257, [height]), (258, [8] * bands), (259, [compression]),
        (262, [2 if compression == 8 else 6]),
        (277, [bands]), (284, [2 if separate else 1]), (322, [side]), (323, [side]), (324, offsets),
        (325, [len(block) for block in blocks]),
    ]  # fmt: skip
    if compression == 7:
        tags.append((530, [2, 2]))
    table, values, values_at = b"", b"", at + 2 + 12 * len(tags) + 4
    for tag, numbers in tags:
        kind, form = (3, "H") if tag in (258, 530) else (4, "I")
        data = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        if len(data) > 4:
            place = struct.pack(f"{order}I", values_at + len(values))
            values += data
        else:
            place = data.ljust(4, b"\0")
        table += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + place
    body = b"".join(block + b"\0" * (len(block) % 2) for block in blocks)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, at)
    return head + body + struct.pack(f"{order}H", len(tags)) + table + bytes(4) + values


def same_in_regions(path: Path, by_region: bool) -> None:
    whole = read_image(path)
    with ImageRegions(path) as regions:
        assert (regions.width, regions.height) == (whole.shape[1], whole.shape[0])
        assert regions.by_region == by_region
        for x1, y1, x2, y2 in REGIONS:
            np.testing.assert_array_equal(regions((x1, y1, x2, y2)), whole[y1:y2, x1:x2])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("compression", "separate"), [(8, False), (8, True), (7, False)])
def test_tiles_of_a_tiff(compression: int, separate: bool, order: str, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiled_tiff(smooth(), 32, compression, order, separate))
    if compression == 8:
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), smooth())
    same_in_regions(tmp_path / "a.tif", by_region=True)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_strips_of_a_tiff(mode: str, compression: str, tmp_path: Path) -> None:
    image = Image.fromarray(smooth()).convert(mode)
    image.save(tmp_path / "a.tif", compression=compression, tiffinfo={278: 10}, strip_size=1)
    by_region = len(Image.open(tmp_path / "a.tif").tag_v2[273]) > 1  # type: ignore[attr-defined]
    assert by_region or compression == "raw"
    same_in_regions(tmp_path / "a.tif", by_region)


def test_jpeg_in_strips(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.tif", compression="jpeg", strip_size=151 * 3 * 16)
    same_in_regions(tmp_path / "a.tif", by_region=True)


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm", "a.pgm", "b.bmp"])
def test_rows_of_plain_files(name: str, tmp_path: Path) -> None:
    image = Image.fromarray(smooth())
    (image.convert("P" if name == "b.bmp" else "L" if name == "a.pgm" else "RGB")).save(tmp_path / name)
    same_in_regions(tmp_path / name, by_region=True)


def test_a_bmp_from_the_top(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[22:26] = (-131).to_bytes(4, "little", signed=True)
    (tmp_path / "a.bmp").write_bytes(data)
    same_in_regions(tmp_path / "a.bmp", by_region=True)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_what_is_decoded_whole(name: str, tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / name)
    same_in_regions(tmp_path / name, by_region=False)


def test_what_depends_on_the_whole_image(tmp_path: Path) -> None:
    """The largest number of a deep image says what its white is, and a turned one is cut after it is turned."""
    deep = smooth(channels=1)[..., 0].astype(np.uint16) * 16
    cv2.imwrite(str(tmp_path / "deep.tif"), deep)
    same_in_regions(tmp_path / "deep.tif", by_region=False)
    image = Image.fromarray(smooth(131, 151))
    image.save(tmp_path / "turned.tif", compression="tiff_lzw", strip_size=1, tiffinfo={274: 6})
    same_in_regions(tmp_path / "turned.tif", by_region=False)


def test_damage_is_found_where_it_is(tmp_path: Path) -> None:
    data = bytearray(tiled_tiff(smooth(), 32, 8))
    data[8:40] = bytes(32)  # within the first tile
    (tmp_path / "a.tif").write_bytes(data)
    with ImageRegions(tmp_path / "a.tif") as regions:
        with pytest.raises(ImageFault, match=r"a\.tif: cannot be decoded"):
            regions((0, 0, 10, 10))
        np.testing.assert_array_equal(regions((64, 64, 96, 96)), smooth()[64:96, 64:96])


def test_a_missing_file_and_one_cut_off(tmp_path: Path) -> None:
    with pytest.raises(ImageFault, match=r"a\.tif: cannot be read"):
        ImageRegions(tmp_path / "a.tif")
    (tmp_path / "a.tif").write_bytes(tiled_tiff(smooth(), 32, 8))
    with ImageRegions(tmp_path / "a.tif") as regions:
        (tmp_path / "a.tif").write_bytes(b"II")
        with pytest.raises(ImageFault, match="truncated"):
            regions((0, 0, 151, 131))

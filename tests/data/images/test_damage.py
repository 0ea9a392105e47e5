"""Files that are damaged, cut off, too large or something else: each is named, with what to do."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.data.images.test_orientation import encoded, stored

import lehr.data.images.decode as decoding
from lehr.data.images import ImageFault, decode_file, probe_image, read_image

SUFFIXES = ["jpg", "png", "webp", "tif", "gif", "avif", "bmp", "ppm", "qoi", "jp2"]


def file_of(suffix: str) -> bytes:
    """An image with much detail."""
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 256, (24, 32, 3), np.uint8), (320, 240))
    file = io.BytesIO()
    name = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(suffix, suffix.upper())
    Image.fromarray(pixels).save(file, name, **({"compression": "tiff_lzw"} if suffix == "tif" else {}))
    return file.getvalue()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_its_end_is_refused_by_name(suffix: str, tmp_path: Path) -> None:
    path, data = tmp_path / f"cut.{suffix}", file_of(suffix)
    path.write_bytes(data)
    assert probe_image(path) == (320, 240) and read_image(path).shape == (240, 320, 3)
    path.write_bytes(data[: len(data) * 2 // 3])
    for read in (probe_image, read_image):
        with pytest.raises(ImageFault, match=f"cut.{suffix}: "):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "tif", "gif"])
def test_a_damaged_middle_is_refused_by_name(suffix: str, tmp_path: Path) -> None:
    path, data = tmp_path / f"bad.{suffix}", bytearray(file_of(suffix))
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(data)
    assert probe_image(path) == (320, 240)  # its header is whole
    with pytest.raises(ImageFault, match=f"bad.{suffix}: "):
        read_image(path)


def test_a_damaged_jpeg_is_used_and_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("simplejpeg")
    path, data = tmp_path / "bad.jpg", bytearray(file_of("jpg"))
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    assert decode_file(path).damage
    assert read_image(path).shape == read_image(path).shape == (240, 320, 3)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(path)]


def test_jpeg_is_the_same_with_and_without_the_strict_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG", 6))
    strict = read_image(path)
    monkeypatch.setattr(decoding, "simplejpeg", None)
    np.testing.assert_array_equal(read_image(path), strict)


def test_what_cameras_append_to_a_jpeg_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "motion.jpg"
    path.write_bytes(file_of("jpg") + b"\0\0\0\x18ftypmp42" + bytes(5000))
    assert probe_image(path) == (320, 240) and read_image(path).shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s1--a.jpg\n", "git annex get"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X        ", "AppleDouble"),
        (b"<!DOCTYPE html><html>404</html>", "Download the image again"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n(ls) system\n", "PostScript"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw photograph"),
        (bytes(4096), "holds only zeros"),
        (b"nothing known at all", "no image format is recognised"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_image_is_said_to_be_what_it_is(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    for read in (probe_image, read_image):
        with pytest.raises(ImageFault, match=words):
            read(path)


def test_a_raw_photograph_is_not_read_as_its_thumbnail(tmp_path: Path) -> None:
    Image.fromarray(stored()).save(tmp_path / "a.nef", "TIFF")
    Image.fromarray(stored()).save(tmp_path / "a.tif", "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    for name in ("a.nef", "a.tif"):
        with pytest.raises(ImageFault, match="raw photograph"):
            probe_image(tmp_path / name)


def blank_png(width: int, height: int) -> bytes:
    """A PNG of one bit, all black."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes(((width + 7) // 8 + 1) * height), 1)
    start = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_very_large_images_are_read_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(blank_png(16000, 12000))
    Image.new("L", (12000, 9000)).save(tmp_path / "large.gif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert probe_image(tmp_path / "large.png") == (16000, 12000)
        assert probe_image(tmp_path / "large.gif") == (12000, 9000)


@pytest.mark.parametrize("size", [(40000, 40000), (2**31 - 1, 2**31 - 1)])
def test_too_large_images_are_refused_with_the_limit(size: tuple[int, int], tmp_path: Path) -> None:
    data = blank_png(8, 8)
    start = data[12:16] + struct.pack(">II", *size) + data[24:29]
    (tmp_path / "a.png").write_bytes(data[:12] + start + struct.pack(">I", zlib.crc32(start)) + data[33:])
    for read in (probe_image, read_image):
        with pytest.raises(ImageFault, match=r"up to 268 million are read\. Reduce it, or cut it into tiles"):
            read(tmp_path / "a.png")


def test_a_large_tiff_is_read_without_a_warning(tmp_path: Path) -> None:
    Image.new("1", (10000, 9000)).save(tmp_path / "a.tif", compression="group4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.tif").shape == (9000, 10000, 3)


def test_a_jpeg_of_unknown_sampling_is_read_or_refused_by_name(tmp_path: Path) -> None:
    data = bytearray(file_of("jpg"))
    place = data.index(b"\xff\xc0") + 11
    path = tmp_path / "a.jpg"
    for sampling in range(256):
        data[place] = sampling
        path.write_bytes(data)
        try:
            assert read_image(path).shape[2] == 3
        except ImageFault as fault:
            assert str(path) in str(fault)

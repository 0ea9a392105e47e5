"""Samples of more than 8 bits, and other colours than RGB, as 8-bit RGB."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.data.images.test_orientation import stored

from lehr.data.images import ImageFault, decode_file, probe_image, read_image


def ramp(white: int) -> NDArray[np.uint16]:
    """Grey from 0 to white."""
    return np.linspace(0, white, 64 * 48).round().astype(np.uint16).reshape(48, 64)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_bits_that_a_file_uses_become_8(bits: int, suffix: str, tmp_path: Path) -> None:
    white = 2**bits - 1
    assert cv2.imwrite(str(tmp_path / f"a{suffix}"), ramp(white))
    decoded = decode_file(tmp_path / f"a{suffix}")
    assert decoded.bits == bits
    np.testing.assert_array_equal(decoded.pixels[:, :, 1], np.rint(ramp(white) * (255 / white)))


@pytest.mark.parametrize(
    ("kind", "white"), [(np.float32, 1.0), (np.float32, 255.0), (np.float64, 1.0), (np.float32, 4095)]
)
def test_floating_point_is_scaled_by_its_range(kind: type, white: int, tmp_path: Path) -> None:
    values = np.linspace(0, white, 64 * 48).astype(kind).reshape(48, 64)
    assert cv2.imwrite(str(tmp_path / "a.tif"), values)
    assert (
        np.abs(read_image(tmp_path / "a.tif")[:, :, 0].astype(float) - values.astype(float) * (255 / white)).max() < 0.6
    )


@pytest.mark.parametrize("values", [(-5.0, 1.0), (0.0, 1e6)])
def test_what_has_no_known_white_is_refused_by_name(values: tuple[float, float], tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "heights.tif"), np.array([values] * 8, np.float32))
    with pytest.raises(ImageFault, match=r"heights\.tif.*which is black and which white"):
        read_image(tmp_path / "heights.tif")


def test_what_is_not_a_number_counts_as_0(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.tif"), np.array([[np.nan, 1.0, 0.5, np.inf]] * 4, np.float32))
    assert read_image(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 255, 128, 0]


def test_pnm_says_what_white_is(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5\n# from a scanner\n2 1\n4095\n" + bytes([0x0F, 0xFF, 0x08, 0x00]))
    (tmp_path / "b.pgm").write_bytes(b"P5 2 1 100\n" + bytes([100, 40]))
    (tmp_path / "c.pbm").write_bytes(b"P4 2 1\n" + bytes([0x40]))
    assert read_image(tmp_path / "a.pgm")[0, :, 0].tolist() == [255, 128]
    assert read_image(tmp_path / "b.pgm")[0, :, 0].tolist() == [255, 102]
    assert read_image(tmp_path / "c.pbm")[0, :, 0].tolist() == [255, 0]
    assert [probe_image(tmp_path / name) for name in ("a.pgm", "b.pgm", "c.pbm")] == [(2, 1)] * 3


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "gif", "bmp", "tga", "jpg", "avif", "jp2"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode: str, suffix: str, tmp_path: Path) -> None:
    image = Image.fromarray(stored())
    image = image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.new("L", image.size, 0))  # transparent: the colours are those stored
    try:
        image.save(tmp_path / f"a.{suffix}", quality=95, lossless=True, exact=True)
    except (OSError, ValueError):
        pytest.skip(f"Pillow writes no {mode} as {suffix}")
    wanted = np.asarray(
        image.convert("LA").convert("L").convert("RGB") if mode in ("1", "L", "LA") else image.convert("RGB")
    )
    pixels = read_image(tmp_path / f"a.{suffix}")
    assert probe_image(tmp_path / f"a.{suffix}") == (72, 48)
    if mode in ("LA", "RGBA") and suffix == "gif":
        return  # a GIF keeps no colour where it is transparent
    assert np.abs(pixels.astype(int) - wanted).mean() < 6


def test_bands_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.tif", tiffinfo={277: 5})
    with pytest.raises(ImageFault, match="5 bands that are not colours"):
        probe_image(tmp_path / "a.tif")

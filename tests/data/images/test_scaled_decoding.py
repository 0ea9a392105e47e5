"""JPEG files that are far larger than what is kept of them: fewer pixels are decoded, and none the worse for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from lehr.augment.letterbox import reduced_size
from lehr.data.cache import ImageStore, open_store
from lehr.data.images import decode, probe_image, read_image
from lehr.data.images.decode import reduction
from lehr.sample import Sample

Image = NDArray[np.uint8]
pytestmark = pytest.mark.skipif(decode.simplejpeg is None, reason="simplejpeg decodes at a reduced scale")


def photograph(width: int, height: int) -> Image:
    """Colours of all frequencies, with sharp edges of random shapes."""
    rng, out = np.random.default_rng(0), np.full((height, width, 3), 114.0, np.float32)
    for size in (2, 4, 8, 16, 32, 64):
        noise = rng.normal(0, 3 * size**0.7, (height // size + 2, width // size + 2, 3)).astype(np.float32)
        out += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(out.clip(0, 255), np.uint8)
    for x, y, radius, *colour in rng.integers(0, (width, height, 60, 256, 256, 256), (60, 6)).tolist():
        cv2.circle(image, (x, y), radius, colour, -1)
    return image


def written(path: Path, image: Image, quality: int = 92) -> Path:
    cv2.imwrite(str(path), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path


def of_file(path: Path) -> Sample:
    return Sample(path, *probe_image(path), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def psnr(one: Image, other: Image) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


@pytest.mark.parametrize(
    ("width", "height", "side", "factor"),
    [(1920, 1080, 320, 2), (1000, 1400, 160, 2), (1280, 960, 96, 4), (2400, 1800, 96, 8)],
)
def test_pixels_are_as_near_to_the_original_as_those_of_full_size(
    width: int, height: int, side: int, factor: int, tmp_path: Path
) -> None:
    image = photograph(width, height)
    sample = of_file(written(tmp_path / "a.jpg", image))
    size = reduced_size(width, height, side)
    assert reduction(width, height, size) == factor
    assert read_image(sample.path, least=size).shape == (height // factor, width // factor, 3)
    full, scaled = (ImageStore([sample], side, scaled=each)(0) for each in (False, True))
    assert full[0].shape == scaled[0].shape == (size[1], size[0], 3) and full[1] == scaled[1] == (width, height)
    assert psnr(full[0], scaled[0]) > 44
    original = np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.LANCZOS))
    assert psnr(scaled[0], original) > psnr(full[0], original) - 0.6


@pytest.mark.parametrize(
    ("width", "height", "least", "factor"),
    [
        (640, 480, (640, 480), 1),
        (1280, 960, (640, 480), 1),
        (3840, 2880, (640, 480), 2),
        (3838, 2880, (640, 480), 1),
        (7680, 5764, (640, 480), 4),
        (7680, 5762, (640, 480), 2),
        (7681, 5760, (640, 480), 1),
        (15360, 11520, (640, 480), 8),
        (100, 80, (640, 480), 1),
        (4000, 10, (640, 2), 1),
    ],
)
def test_three_pixels_are_left_for_each_that_is_kept(
    width: int, height: int, least: tuple[int, int], factor: int
) -> None:
    assert reduction(width, height, least) == factor


def test_a_turned_image_is_reduced_along_its_own_sides(tmp_path: Path) -> None:
    image = photograph(1200, 400)
    path = written(tmp_path / "a.jpg", image)
    data = path.read_bytes()
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    sample = of_file(path)
    assert (sample.width, sample.height) == (400, 1200)
    full, scaled = (ImageStore([sample], 150, scaled=each)(0)[0] for each in (False, True))
    assert full.shape == scaled.shape == (150, 50, 3) and psnr(full, scaled) > 47
    assert read_image(path, least=(50, 150)).shape == (600, 200, 3)


def test_what_is_no_jpeg_and_damage_stay_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = photograph(800, 600)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    assert read_image(tmp_path / "a.png", least=(100, 75)).shape == image.shape
    data = written(tmp_path / "b.jpg", image).read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[:-40] + data[-2:])
    assert read_image(tmp_path / "b.jpg", least=(100, 75)).shape == (300, 400, 3)
    assert "b.jpg: is damaged" in caplog.text


def test_decoded_files_of_both_kinds_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    sample = of_file(written(tmp_path / "a.jpg", photograph(800, 600)))
    full, scaled = (open_store([sample], 96, "disk", lambda _: None, scaled=each) for each in (False, True))
    assert full.path != scaled.path and not np.array_equal(full(0)[0], scaled(0)[0])
    np.testing.assert_array_equal(scaled(0)[0], ImageStore([sample], 96, scaled=True)(0)[0])
    np.testing.assert_array_equal(full(0)[0], ImageStore([sample], 96)(0)[0])

"""An image in memory gives the pixels it shows, whatever it comes as; what could mean two things is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lehr.data.images import read_image
from lehr.errors import InputError
from lehr.prediction.pixels import name_of, to_pixels

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = np.repeat(RGB[..., :1], 3, 2)
ALPHA = np.dstack([RGB, np.full((6, 8), 7, np.uint8)])
ONE = {
    "uint8": (RGB, RGB),
    "grey": (RGB[..., 0], GREY),
    "grey with a channel": (RGB[..., :1], GREY),
    "grey, channel first": (RGB[None, ..., 0], GREY),
    "alpha": (ALPHA, RGB),
    "float": (RGB / 255, RGB),
    "float32": ((RGB / 255).astype(np.float32), RGB),
    "float16": ((RGB / 255).astype(np.float16), RGB),
    "overshooting float": (RGB / 255 * 1.0005 - 0.0001, RGB),
    "float grey": (RGB[..., 0] / 255, GREY),
    "whole float": (RGB.astype(np.float64), RGB),
    "int64": (RGB.astype(np.int64), RGB),
    "channels first": (RGB.transpose(2, 0, 1), RGB),
    "16 bits": (RGB.astype(np.uint16) * 257, RGB),
    "12 bits": (RGB[..., 0].astype(np.uint16) * 16 + 8, (GREY * 16.0 + 8) * 255 / 4095),
    "16 bits of Pillow": (Image.fromarray(RGB[..., 0].astype(np.uint16) * 257), GREY),
    "32 bits of Pillow": (Image.fromarray(RGB[..., 0].astype(np.int32) * 257), GREY),
    "floats of Pillow": (Image.fromarray((RGB[..., 0] / 255).astype(np.float32)), GREY),
    "mirrored": (RGB[::-1, ::-1], RGB[::-1, ::-1]),
    "BGR turned": (RGB[..., ::-1], RGB[..., ::-1]),
    "mask": (RGB[..., 0] > 99, np.where(GREY > 99, 255, 0)),
    "read only": (np.broadcast_to(np.uint8(7), (6, 8, 3)), np.full((6, 8, 3), 7)),
    "Fortran order": (np.asfortranarray(RGB), RGB),
    "memmap-like": (RGB.view(np.ndarray), RGB),
    "tensor": (torch.from_numpy(RGB.transpose(2, 0, 1).copy()), RGB),
    "tensor, channels last": (torch.from_numpy(RGB), RGB),
    "tensor of floats": (torch.from_numpy(RGB.transpose(2, 0, 1) / 255).float(), RGB),
    "tensor with gradient": ((torch.from_numpy(RGB.transpose(2, 0, 1) / 255)).requires_grad_(), RGB),
    "tensor of grey": (torch.from_numpy(RGB[..., 0].copy()), GREY),
    "tensor of three rows": (torch.from_numpy(RGB[:3, :, 0].copy()), GREY[:3]),
    "tensor with alpha": (torch.from_numpy(ALPHA.transpose(2, 0, 1).copy()), RGB),
    "Pillow": (Image.fromarray(RGB), RGB),
    "Pillow grey": (Image.fromarray(RGB[..., 0]), GREY),
    "Pillow with alpha": (Image.fromarray(ALPHA), RGB),
    "Pillow bitmap": (Image.fromarray(RGB[..., 0] > 99), np.where(GREY > 99, 255, 0)),
}


@pytest.mark.parametrize("name", ONE)
def test_an_image_in_memory_gives_its_pixels(name: str) -> None:
    value, wanted = ONE[name]
    (pixels,) = to_pixels(value, "x")
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, np.rint(wanted))


def test_a_brain_float_tensor_is_as_near_as_its_digits_allow() -> None:
    (pixels,) = to_pixels(torch.from_numpy(RGB.transpose(2, 0, 1) / 255).bfloat16(), "x")
    assert np.abs(pixels.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("tensor", [False, True])
def test_a_batch_in_one_array_gives_each_image(dtype: type, first: bool, tensor: bool) -> None:
    dark = np.zeros_like(RGB)
    batch = np.stack([RGB, dark + 1]) if dtype == np.uint8 else np.stack([RGB, dark + 1]).astype(np.float32)
    batch = batch.transpose(0, 3, 1, 2) if first else batch
    found = to_pixels(torch.from_numpy(batch.copy()) if tensor else batch, "x")
    np.testing.assert_array_equal(found, [RGB, dark + 1])  # floats up to 1 of the dark one are not 0 to 1


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_bytes_and_open_files_are_decoded_as_files_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), RGB[..., ::-1])
    data = path.read_bytes()
    with path.open("rb") as file:
        for value in (data, bytearray(data), memoryview(data), io.BytesIO(data), file, Image.open(path)):
            np.testing.assert_array_equal(to_pixels(value, "x")[0], read_image(path))
        assert name_of(file, 3) == name_of(Image.open(path), 3) == str(path)
    assert name_of(io.BytesIO(data), 3) == name_of(torch.zeros(1), 3) == "image 3"


def test_an_image_of_pillow_is_turned_as_its_file_is(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as image:
        pixels = to_pixels(image, "x")[0]
        assert pixels.shape == (8, 6, 3)
        assert np.abs(pixels.astype(int) - read_image(tmp_path / "a.jpg")).max() <= 3


class Foreign:
    """An array of another library, which gives itself to NumPy."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.fails:
            raise TypeError("it is on another device")
        return RGB


def test_arrays_of_other_libraries_are_taken() -> None:
    np.testing.assert_array_equal(to_pixels(Foreign(), "x")[0], RGB)
    with pytest.raises(InputError, match="it is on another device"):
        to_pixels(Foreign(fails=True), "x")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is None, which cv2.imread gives"),
        (0.5, "The number of a camera is whole"),
        ({"image": RGB}, "is a dict"),
        ([[1, 2]], "is a list in place of an image"),
        (object(), "is a object and no image"),
        (np.zeros((0, 5, 3), np.uint8), "has no pixels (its shape is (0, 5, 3))"),
        (np.zeros((5, 5, 0), np.uint8), "has no pixels"),
        (torch.zeros(0), "has no pixels"),
        (np.zeros(5, np.uint8), "has the shape (5,)"),
        (np.float32(0.5), "has the shape ()"),
        (np.zeros((5, 5, 2), np.uint8), "no dimension holds channels"),
        (np.zeros((4, 7, 9), np.uint8), "no dimension holds channels"),
        (np.zeros((2, 2, 5, 5, 3), np.uint8), "has the shape (2, 2, 5, 5, 3)"),
        (RGB / 255 - 0.5, "perhaps normalized"),
        (torch.randn(3, 5, 5), "perhaps normalized"),
        (RGB * 0.7, "neither 0 to 1 nor whole numbers"),
        (RGB.astype(np.int32) * 200, "scale them by the largest value"),
        (np.full((5, 5, 3), np.nan), "not finite"),
        (np.full((5, 5, 3), np.inf, np.float16), "not finite"),
        (np.array([["a"]]), "holds <U1 and no numbers"),
        (np.zeros((5, 5), complex), "holds complex128"),
        (np.array([[RGB, None]], dtype=object), "holds object"),
        (b"junk", "cannot be decoded"),
        (b"", "is empty"),
        (io.BytesIO(), "file.seek(0)"),
        (io.StringIO("text"), "open as text"),
        (Image.new("RGB", (0, 5)), "has no pixels"),
    ],
)
def test_what_is_no_image_is_refused_with_what_to_give(value: object, words: str) -> None:
    with pytest.raises(InputError) as caught:
        to_pixels(value, "image 7")
    assert str(caught.value).startswith("image 7: ") and words in str(caught.value)


def test_closed_files_are_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.close()
    file = (tmp_path / "a.png").open("rb")
    file.close()
    for value, kind in ((image, "image"), (file, "file")):
        with pytest.raises(InputError, match=f"Open the {kind} again"):
            to_pixels(value, "x")

"""Masks, turns and checks of COCO's boxes, against slow or independent ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as cocotools

from lehr.data.formats.coco_objects import samples_of
from lehr.data.formats.coco_outlines import outline_of
from lehr.data.formats.coco_sizes import turn_boxes
from lehr.data.objects import checked_objects


@pytest.mark.parametrize("seed", range(20))
def test_boxes_of_masks_are_those_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 40, 2).tolist()
    pixels = (rng.random((height, width)) < rng.choice([0.01, 0.3, 0.97])).astype(np.uint8)
    encoded = cocotools.encode(np.asfortranarray(pixels))
    text = encoded["counts"].decode()
    flat = pixels.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, len(flat)]).tolist()
    runs = [0, *counts] if flat[0] else counts
    x, y, w, h = cocotools.toBbox(encoded).tolist()
    for segmentation in ({"size": [height, width], "counts": text}, {"size": [height, width], "counts": runs}):
        outline = outline_of(segmentation)
        if not pixels.any():
            assert outline is None
        else:
            assert outline == (x, y, x + w, y + h, width, height)


def test_a_mask_with_large_runs() -> None:
    pixels = np.zeros((3000, 4000), np.uint8)
    pixels[1000:2500, 700:3999] = 1
    encoded = cocotools.encode(np.asfortranarray(pixels))
    outline = outline_of({"size": [3000, 4000], "counts": encoded["counts"].decode()})
    assert outline == (700, 1000, 3999, 2500, 4000, 3000)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_pixels_do(orientation: int) -> None:
    pixels = np.zeros((30, 50), np.uint8)
    pixels[4:9, 11:31] = 255
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    shown = np.asarray(ImageOps.exif_transpose(image))
    rows, columns = np.nonzero(shown)
    expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    turned = turn_boxes(np.array([[11.0, 4, 31, 9]]), np.array([[50.0, 30]]), orientation)
    assert turned.tolist() == [expected]


def test_checks_of_all_boxes_at_once_are_those_of_each_image() -> None:
    rng = np.random.default_rng(0)
    of = rng.integers(0, 40, 400)
    boxes = rng.integers(-4, 24, (400, 4)).astype(float)
    boxes[rng.random(400) < 0.7, 2:] += 20
    boxes[::50] = np.nan
    classes = rng.integers(0, 2, 400)
    again = rng.integers(0, 400, 60)
    of, boxes, classes = (np.concatenate((values, values[again])) for values in (of, boxes, classes))
    sizes = np.full((40, 2), 40.0)
    path = Path("train.json")
    images = [Path(f"{i}.png") for i in range(40)]
    samples, faults = samples_of(path, images, sizes, of, boxes, classes, np.zeros(len(of), np.int8))
    expected = []
    for i, sample in enumerate(samples):
        mine = of == i
        own, own_classes, found = checked_objects(
            boxes[mine], classes[mine], width=40, height=40, path=path, lines=[None] * int(mine.sum())
        )
        np.testing.assert_array_equal(sample.boxes, own)
        np.testing.assert_array_equal(sample.classes, own_classes)
        expected += [(fault.kind, f"image {i}.png: {fault.message}") for fault in found]
    assert [(fault.kind, fault.message) for fault in faults] == expected and expected

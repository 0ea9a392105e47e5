"""Predictions of several images at once are those of each alone, in its own pixels; sources are found once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lehr.errors import InputError
from lehr.prediction.predictor import predict_images
from lehr.prediction.sources import find_images


class Fixed:
    """A prediction of three boxes, the third beyond the edge, each of both classes."""

    def __init__(self, images: Tensor) -> None:
        batch = len(images)
        boxes = torch.tensor([[8.0, 10, 24, 26], [32, 12, 48, 20], [50, 20, 500, 400]])
        self.boxes = boxes.expand(batch, 3, 4)
        self.scores = torch.tensor([[0.9, 0.8], [0.3, 0.7], [0.6, 0.1]]).expand(batch, 3, 2)

    def decode(self) -> tuple[Tensor, Tensor]:
        return self.boxes, self.scores


class Model(nn.Module):
    """Finds the same in every canvas."""

    names = ("small", "large")

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Fixed:
        return Fixed(images)


def image(width: int, height: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_boxes_are_led_back_to_each_image_s_own_pixels() -> None:
    images = [image(64, 64), image(128, 64), image(32, 64)]
    wide, tall = (64 - 32) / 2, (64 - 32) / 2  # grey above the wide one, and left of the tall one
    found = list(predict_images(Model(), images, imgsz=64, batch=3, square=True))  # type: ignore[arg-type]
    expected = [
        [[8, 10, 24, 26], [32, 12, 48, 20], [50, 20, 64, 64]],
        [[16, (10 - wide) * 2, 48, (26 - wide) * 2], [64, (12 - wide) * 2, 96, (20 - wide) * 2], [100, 8, 128, 64]],
        [[8 - tall, 10, 24 - tall, 26], [32 - tall, 12, 32, 20], [34, 20, 32, 64]],
    ]
    for each, picture, boxes in zip(found, images, expected, strict=True):
        height, width = picture.shape[:2]
        assert (each.width, each.height) == (width, height)
        order = np.argsort([0.9, 0.7, 0.6])[::-1]
        clipped = np.clip(np.array(boxes)[order], 0, [width, height, width, height])
        np.testing.assert_allclose(each.boxes, clipped, atol=1e-4)


def test_a_point_is_found_once_as_its_likeliest_class() -> None:
    [found] = predict_images(Model(), [image(64, 64)], imgsz=64)  # type: ignore[arg-type]
    assert [(each.name, round(each.score, 3)) for each in found] == [("small", 0.9), ("large", 0.7), ("small", 0.6)]


def test_a_file_a_folder_and_a_glob_give_each_image_once(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.png"):
        cv2.imwrite(str(tmp_path / name), image(8, 8))
    (tmp_path / "notes.txt").write_text("no image")
    found = find_images([str(tmp_path / "c.png"), str(tmp_path), str(tmp_path / "*")])
    assert [path.name for path in found] == ["c.png", "a.jpg", "b.png"]
    for nowhere in (tmp_path / "*.bmp", tmp_path / "none.jpg"):
        with pytest.raises(InputError, match="no such image, folder or glob"):
            find_images([str(nowhere)])

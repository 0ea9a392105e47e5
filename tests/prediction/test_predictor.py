"""Predictions of several images at once are those of each alone, in its own pixels; broken ones end or are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.stand_in_network import StandInNetwork
from torch import Tensor

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.options import PredictOptions
from lehr.prediction.predictor import predict_images


class Fixed:
    """A prediction of three boxes, the third beyond the edge, each of both classes."""

    def __init__(self, images: Tensor) -> None:
        batch = len(images)
        boxes = torch.tensor([[8.0, 10, 24, 26], [32, 12, 48, 20], [50, 20, 500, 400]])
        self.boxes = boxes.expand(batch, 3, 4)
        self.scores = torch.tensor([[0.9, 0.8], [0.3, 0.7], [0.6, 0.1]]).expand(batch, 3, 2)

    def decode(self) -> tuple[Tensor, Tensor]:
        return self.boxes, self.scores


class Model(StandInNetwork):
    """Finds the same in every canvas."""

    names = ("small", "large")

    def forward(self, images: Tensor) -> Fixed:
        return Fixed(images)


def image(width: int, height: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_boxes_are_led_back_to_each_image_s_own_pixels() -> None:
    images = [image(64, 64), image(128, 64), image(32, 64)]
    wide, tall = (64 - 32) / 2, (64 - 32) / 2  # grey above the wide one, and left of the tall one
    found = list(predict_images(Model(), images, PredictOptions(imgsz=64, batch=3, square=True)))  # type: ignore[arg-type]
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
    [found] = predict_images(Model(), [image(64, 64)], PredictOptions(imgsz=64))  # type: ignore[arg-type]
    assert [(each.name, round(each.score, 3)) for each in found] == [("small", 0.9), ("large", 0.7), ("small", 0.6)]


def found_in(images: Any, **options: Any) -> list[Detections]:
    return list(predict_images(Model(), images, PredictOptions(imgsz=64, **options)))  # type: ignore[arg-type]


def test_images_of_a_generator_are_asked_for_a_batch_at_a_time() -> None:
    asked = []

    def images() -> Iterator[np.ndarray]:
        for number in range(5):
            asked.append(number)
            yield image(8 + number, 8)

    found = predict_images(Model(), images(), PredictOptions(imgsz=64, batch=2))  # type: ignore[arg-type]
    assert asked == []
    assert next(found).width == 8 and asked == [0, 1]
    assert [each.width for each in found] == [9, 10, 11, 12] and asked == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("batch", [1, 3, 9])
def test_any_collection_gives_its_images_in_order(tmp_path: Path, batch: int) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), image(20, 10))
    mixed = [image(8, 8), tmp_path, str(tmp_path / "b.png"), np.zeros((2, 6, 7, 3)), Image.new("L", (30, 5))]
    wanted = ["image 0", str(tmp_path / "a.png"), str(tmp_path / "b.png"), str(tmp_path / "b.png")]
    wanted += ["image 4", "image 5", "image 6"]
    for images in (mixed, tuple(mixed), iter(mixed), dict(enumerate(mixed)).values()):
        found = found_in(images, batch=batch)
        assert [each.source for each in found] == wanted
        assert [each.width for each in found] == [8, 20, 20, 20, 7, 7, 30]
    assert found_in([]) == found_in(iter(())) == []
    ragged = np.empty(2, object)
    ragged[:] = [image(8, 8), image(9, 9)]
    assert [each.width for each in found_in(ragged)] == [8, 9]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_broken_image_comes_after_the_results_of_those_before_it(tmp_path: Path, batch: int) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image(8, 8))
    (tmp_path / "b.png").write_bytes(b"junk")
    cv2.imwrite(str(tmp_path / "c.png"), image(8, 8))
    found = predict_images(Model(), tmp_path, PredictOptions(imgsz=64, batch=batch))  # type: ignore[arg-type]
    assert next(found).source == str(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"b\.png: cannot be decoded(.|\n)*--skip-broken"):
        next(found)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_broken_image_that_is_skipped_keeps_its_place(tmp_path: Path, batch: int) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image(8, 8))
    (tmp_path / "b.png").write_bytes(b"junk")
    images = [tmp_path / "b.png", tmp_path, None, image(8, 8), b"junk", str(tmp_path / "none.png"), image(8, 8)[:0]]
    found = found_in(images, batch=batch, skip_broken=True)
    assert [bool(each.fault) for each in found] == [True, False, True, True, False, True, True, True]
    assert [len(each) for each in found] == [0, 3, 0, 0, 3, 0, 0, 0]
    assert "cannot be decoded" in str(found[0].fault) and "None" in str(found[3].fault)
    assert found[0].as_dict() == {
        "fault": found[0].fault, "source": str(tmp_path / "b.png"), "width": 0, "height": 0, "detections": []
    }  # fmt: skip
    assert "fault" not in found[1].as_dict() and list(found[0]) == [] and found[0].summary() == "nothing"


@pytest.mark.parametrize("source", [None, 0, {"a": image(8, 8)}, object(), [image(8, 8), None], [[image(8, 8)]]])
def test_what_is_no_image_is_refused(source: object) -> None:
    with pytest.raises(InputError):
        found_in(source)


def test_a_misspelt_name_in_a_list_is_found_before_anything_is_read() -> None:
    with pytest.raises(InputError, match="no such image"):
        next(predict_images(Model(), [image(8, 8), "none.png"], PredictOptions(imgsz=64)))  # type: ignore[arg-type, list-item]
    with pytest.raises(InputError, match="no such image"):
        found_in("none.png", skip_broken=True)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 500), (3000, 2), (33, 31)])
def test_images_of_any_shape_are_taken(width: int, height: int) -> None:
    assert [(each.width, each.height) for each in found_in([image(width, height), image(5, 5)], batch=2)] == [
        (width, height),
        (5, 5),
    ]


def test_classes_that_are_asked_for_are_found_alone() -> None:
    [found] = found_in([image(64, 64)], classes=(1,))
    assert [(each.name, round(each.score, 3)) for each in found] == [("large", 0.7)]
    assert found.names == ("small", "large")


def test_an_object_is_found_once_where_classes_suppress_each_other() -> None:
    class Same(Model):
        def forward(self, images: Tensor) -> Fixed:
            fixed = Fixed(images)
            fixed.boxes = fixed.boxes[:, :1].expand(-1, 3, 4)
            return fixed

    by_class, agnostic = (
        next(predict_images(Same(), [image(64, 64)], PredictOptions(imgsz=64, agnostic=agnostic)))
        for agnostic in (False, True)
    )
    assert [each.name for each in by_class] == ["small", "large"] and [each.name for each in agnostic] == ["small"]

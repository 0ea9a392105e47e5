"""Suppression of all images at once equals that of each image and class alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lehr.evaluation import nms
from lehr.evaluation.nms import suppress


def random_predictions(
    seed: int, batch: int = 3, anchors: int = 60, classes: int = 4
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 80, (batch, anchors, 2)), rng.uniform(5, 60, (batch, anchors, 2))
    boxes = torch.tensor(np.concatenate((corner, corner + size), -1), dtype=torch.float32)
    return boxes, torch.tensor(rng.random((batch, anchors, classes)), dtype=torch.float32)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    inter = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(inter / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter))


def slow(
    boxes: np.ndarray, scores: np.ndarray, confidence: float, iou: float, most: int
) -> list[tuple[float, int, int]]:
    """(score, point, class) of one image, best first."""
    kept: list[tuple[float, int, int]] = []
    for number in range(scores.shape[1]):
        own: list[tuple[float, int, int]] = []
        for point in np.argsort(-scores[:, number], kind="stable"):
            if scores[point, number] > confidence and all(
                overlap(boxes[point], boxes[other]) <= iou for _, other, _ in own
            ):
                own.append((float(scores[point, number]), int(point), number))
        kept += own
    return sorted(kept, reverse=True)[:most]


@pytest.mark.parametrize("on_accelerator", [False, True])
@pytest.mark.parametrize("first", [7, 1024])
@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(0.3, 0.9), st.floats(0.1, 0.8), st.sampled_from([5, 300]))
def test_it_equals_the_slow_version(
    on_accelerator: bool, first: int, seed: int, confidence: float, iou: float, most: int
) -> None:
    boxes, scores = random_predictions(seed, anchors=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms, "FIRST", first)
        patch.setattr(nms, "AT_ONCE", 2 * first**2)
        if on_accelerator:
            patch.setattr(nms, "_keep_by_image", nms._keep_all_at_once)
        found = suppress(boxes, scores, confidence=confidence, iou=iou, max_det=most)
    for image in range(len(boxes)):
        own = found.images == image
        expected = slow(boxes[image].numpy(), scores[image].numpy(), confidence, iou, most)
        assert int(own.sum()) == len(expected)
        np.testing.assert_allclose(found.scores[own].numpy(), [score for score, _, _ in expected])
        assert found.classes[own].tolist() == [number for _, _, number in expected]
        points = [point for _, point, _ in expected]
        np.testing.assert_allclose(found.boxes[own].numpy(), boxes[image][points].numpy())


@pytest.mark.parametrize("on_accelerator", [False, True])
def test_classes_suppress_each_other_only_where_they_are_to(
    on_accelerator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_accelerator:
        monkeypatch.setattr(nms, "_keep_by_image", nms._keep_all_at_once)
    boxes, scores = random_predictions(3)
    found = suppress(boxes, scores, confidence=0.3, iou=0.4, agnostic=True, best_class_only=True)
    as_one = suppress(boxes, scores.max(-1, keepdim=True).values, confidence=0.3, iou=0.4)
    assert torch.equal(found.scores, as_one.scores) and torch.equal(found.boxes, as_one.boxes)
    assert len(found.scores) < len(suppress(boxes, scores, confidence=0.3, iou=0.4, best_class_only=True).scores)


@pytest.mark.parametrize("on_accelerator", [False, True])
def test_classes_that_are_not_wanted_neither_are_found_nor_take_the_place_of_others(
    on_accelerator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_accelerator:
        monkeypatch.setattr(nms, "_keep_by_image", nms._keep_all_at_once)
    boxes, scores = random_predictions(4)
    found = suppress(boxes, scores, confidence=0.3, iou=0.4, max_det=5, agnostic=True, wanted=(1, 3))
    alone = suppress(boxes, scores[..., [1, 3]], confidence=0.3, iou=0.4, max_det=5, agnostic=True)
    assert torch.equal(found.scores, alone.scores) and torch.equal(found.classes, alone.classes * 2 + 1)
    best = suppress(boxes, scores, confidence=0.0, iou=1.0, max_det=1000, best_class_only=True, wanted=(2,))
    assert len(best.scores) == int((scores.argmax(-1) == 2).sum())


def test_with_the_best_class_only_a_point_is_found_once() -> None:
    boxes, scores = random_predictions(0)
    found = suppress(boxes, scores, confidence=0.0, iou=1.0, max_det=1000, best_class_only=True)
    assert len(found.scores) == boxes.shape[0] * boxes.shape[1]
    torch.testing.assert_close(found.scores.sort().values, scores.max(-1).values.flatten().sort().values)


def test_nothing_above_the_confidence_is_nothing_found() -> None:
    boxes, scores = random_predictions(0)
    found = suppress(boxes, scores * 0.1, confidence=0.5)
    assert len(found.images) == 0 and found.boxes.shape == (0, 4)


def test_on_an_accelerator_only_images_that_are_not_filled_are_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores = random_predictions(0, batch=4, anchors=100, classes=1)
    boxes[2] = boxes[2, :1]  # a heap, of which one box is left
    seen: list[tuple[int, int]] = []
    keep_of_best = nms._keep_of_best

    def counted(some: torch.Tensor, *rest: Any) -> Any:
        seen.append((len(some), rest[1]))
        return keep_of_best(some, *rest)

    monkeypatch.setattr(nms, "_keep_of_best", counted)
    monkeypatch.setattr(nms, "_keep_by_image", nms._keep_all_at_once)
    monkeypatch.setattr(nms, "FIRST", 30)
    found = suppress(boxes, scores, confidence=0.0, iou=0.7, max_det=5)
    assert seen == [(4, 30), (1, 60), (1, 100)]
    assert found.images.bincount().tolist() == [5, 5, 1, 5] and bool((found.images.diff() >= 0).all())
    for image in range(4):
        own = found.scores[found.images == image]
        assert torch.equal(own, own.sort(descending=True).values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("on_accelerator", [False, True])
def test_boxes_whose_area_half_precision_cannot_hold_are_suppressed_as_others(
    dtype: torch.dtype, on_accelerator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_accelerator:
        monkeypatch.setattr(nms, "_keep_by_image", nms._keep_all_at_once)
    boxes = torch.tensor([[0.0, 0, 1280, 1280], [0, 0, 1280, 1216], [640, 640, 1280, 1280], [0, 0, 1280, 320]])
    assert not torch.isfinite((boxes[0, 2] * boxes[0, 3]).half())
    scores = torch.tensor([0.75, 0.5, 0.25, 0.125]).view(1, 4, 1)
    found = suppress(boxes.to(dtype).unsqueeze(0), scores.to(dtype), iou=0.7)
    assert found.boxes.tolist() == boxes[[0, 2, 3]].tolist() and found.scores.tolist() == [0.75, 0.25, 0.125]
    assert found.boxes.dtype == found.scores.dtype == torch.float32


def test_a_thousand_objects_with_many_points_each_are_all_found() -> None:
    points = 25
    corner = torch.stack(torch.meshgrid(torch.arange(40) * 32.0, torch.arange(25) * 32.0, indexing="ij"), -1).view(
        -1, 2
    )
    boxes = torch.cat((corner, corner + 30), -1).repeat_interleave(points, 0).unsqueeze(0)
    # An object's points score alike, so that those of the worst objects come after all points of the others.
    scores = torch.linspace(0.9, 0.01, 1000).repeat_interleave(points).view(1, -1, 1)
    found = suppress(boxes, scores, max_det=1000)
    assert boxes.shape[1] > nms.CANDIDATES and len(found.scores) == 1000
    assert len(set(map(tuple, found.boxes.tolist()))) == 1000
    assert len(suppress(boxes, scores, max_det=300).scores) == 300

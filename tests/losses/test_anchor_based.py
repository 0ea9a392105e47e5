"""The anchor-based loss agrees with a slow version written out cell by cell."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tests.losses import anchor_oracle as oracle
from torch.utils._python_dispatch import TorchDispatchMode

from lehr.losses.anchor_based import AnchorBasedLoss, scaled_gains
from lehr.losses.anchor_matching import match, shape_ratio
from lehr.losses.focal import FocalFactor
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.anchor_head import AnchorPrediction, anchor_rows, default_anchors
from lehr.models.dfl_head import DFLPrediction, anchor_points
from lehr.techniques.class_weights import class_weights

SIDE, CLASSES = 64, 3
GRIDS = ((8, 8), (4, 4), (2, 2))


def random_case(
    seed: int, counts: list[int], classes: int = CLASSES
) -> tuple[AnchorPrediction, list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    anchors = default_anchors() / 4
    levels = [rng.normal(0, 1, (len(counts), 3, *grid, 5 + classes)).astype(np.float32) for grid in GRIDS]
    boxes, numbers = [], []
    for count in counts:
        sides = np.exp(rng.uniform(np.log(2), np.log(50), (count, 2)))
        centres = rng.uniform(1, SIDE - 1, (count, 2))
        boxes.append(np.concatenate((centres - sides / 2, centres + sides / 2), 1).astype(np.float32).astype(float))
        numbers.append(rng.integers(0, classes, count))
    cells, sizes, strides = anchor_rows(GRIDS, anchors)
    rows = torch.cat([torch.from_numpy(level).flatten(1, 3) for level in levels], 1)
    prediction = AnchorPrediction(rows, cells, sizes, strides, anchors, GRIDS)
    return prediction, [level.astype(float) for level in levels], boxes, numbers


def pad(boxes: list[np.ndarray], classes: list[np.ndarray], extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    most = max(map(len, classes)) + extra
    padded, numbers = torch.zeros(len(boxes), most, 4), torch.full((len(boxes), most), -1)
    for i, (some, names) in enumerate(zip(boxes, classes, strict=True)):
        padded[i, : len(some)] = torch.from_numpy(some).float()
        numbers[i, : len(some)] = torch.from_numpy(names)
    return padded, numbers


VARIATIONS: list[dict[str, float]] = [
    {},
    {"smoothing": 0.1},
    {"gamma": 1.5},
    {"cls_pw": 0.5, "obj_pw": 1.7},
    {"anchor_t": 2.0},
    {"smoothing": 0.2, "gamma": 0.7, "cls_pw": 1.3},
]


@pytest.mark.parametrize("variation", VARIATIONS)
@pytest.mark.parametrize("counts", [[3, 0, 9], [1], [20, 15]])
def test_the_loss_agrees_with_the_slow_version(counts: list[int], variation: dict[str, float]) -> None:
    prediction, levels, boxes, classes = random_case(sum(counts), counts)
    given = {name: value for name, value in variation.items() if name != "gamma"}
    factor = FocalFactor(variation["gamma"]) if "gamma" in variation else None
    loss = AnchorBasedLoss(box=0.05, obj=0.7, cls=0.3, factor=factor, **given)
    slow = oracle.loss(levels, prediction.anchors.double().numpy(), boxes, classes, (0.05, 0.7, 0.3), **variation)
    np.testing.assert_allclose(loss(prediction, *pad(boxes, classes)).numpy(), slow, rtol=2e-5)


def test_class_weights_agree_with_the_slow_version() -> None:
    prediction, levels, boxes, classes = random_case(3, [6, 2])
    weights = np.array([0.5, 1.0, 4.0])
    loss = AnchorBasedLoss(class_weights=torch.from_numpy(weights).float())
    slow = oracle.loss(
        levels, prediction.anchors.double().numpy(), boxes, classes, (0.05, 1.0, 0.5), class_weights=weights
    )
    np.testing.assert_allclose(loss(prediction, *pad(boxes, classes)).numpy(), slow, rtol=2e-5)


def test_class_weights_keep_the_size_of_the_loss_where_classes_are_found_alike() -> None:
    """Each object is given every label in turn, as often as the label occurs, and all classes have the same score."""
    prediction, _, boxes, _ = random_case(5, [40])
    prediction.logits[..., 5:] = prediction.logits[..., 5:6]
    labels = np.repeat([0, 1, 2], [37, 2, 1])
    weights = torch.tensor(class_weights([37, 2, 1]))
    plain, weighted = torch.zeros(3), torch.zeros(3)
    for turn in range(40):
        objects = pad(boxes, [np.roll(labels, turn)])
        plain += AnchorBasedLoss()(prediction, *objects)
        weighted += AnchorBasedLoss(class_weights=weights)(prediction, *objects)
    torch.testing.assert_close(weighted, plain, rtol=1e-5, atol=0)


def test_padding_changes_nothing_and_neither_does_the_way_for_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, _, boxes, classes = random_case(8, [7, 4])
    few = AnchorBasedLoss()(prediction, *pad(boxes, classes))
    many = AnchorBasedLoss()(prediction, *pad(boxes, classes, 30))
    torch.testing.assert_close(few, many)
    import lehr.losses.anchor_based as module

    weighted = AnchorBasedLoss(class_weights=torch.tensor([0.5, 2.0, 1.0]))
    picked = weighted(prediction, *pad(boxes, classes))
    monkeypatch.setattr(module, "supports_dynamic_shapes", lambda device: False)
    torch.testing.assert_close(AnchorBasedLoss()(prediction, *pad(boxes, classes)), few)
    torch.testing.assert_close(weighted(prediction, *pad(boxes, classes, 30)), picked)


class Indexings(TorchDispatchMode):
    """Records how often each row of logits of a shape is read by index."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape, self.most = shape, list[int]()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op is torch.ops.aten.index.Tensor and args[0].shape == self.shape:
            image, rows = args[1]
            self.most.append(int(torch.bincount(image * self.shape[1] + rows).max()))
        return op(*args, **(kwargs or {}))


def test_fixed_shapes_read_the_predictions_once_and_padding_reads_rows_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each reading's gradient is as large as the predictions, and adds up what is read twice one after another."""
    monkeypatch.setattr("lehr.losses.anchor_based.supports_dynamic_shapes", lambda device: False)
    prediction, _, boxes, classes = random_case(8, [1, 2])
    with Indexings(prediction.logits.shape) as seen:
        AnchorBasedLoss()(prediction, *pad(boxes, classes, 5))
    pairs, rows = 3 * 7 * 3 * 5, prediction.logits.shape[1]
    assert len(seen.most) == 1
    assert seen.most[0] <= -(-2 * pairs // rows) + 2  # both images' pairs are dealt out in turn; two objects may match


@pytest.mark.parametrize("kind", ["anchors", "points"])
def test_class_weights_follow_the_device_of_the_predictions(kind: str) -> None:
    """As copies of a model on several devices need it, which share one loss."""
    meta, weights = torch.device("meta"), torch.tensor([0.5, 2.0, 1.0])
    boxes, classes = torch.zeros(1, 2, 4, device=meta), torch.zeros(1, 2, dtype=torch.int64, device=meta)
    if kind == "anchors":
        prediction, *_ = random_case(8, [1])
        moved = {
            name: getattr(prediction, name).to(meta) for name in ("logits", "cells", "sizes", "strides", "anchors")
        }
        loss = AnchorBasedLoss(class_weights=weights)(dataclasses.replace(prediction, **moved), boxes, classes)
    else:
        points, strides = anchor_points([(4, 4)], (8,), meta)
        answer = DFLPrediction(torch.zeros(1, 16, 64, device=meta), torch.zeros(1, 16, 3, device=meta), points, strides)
        loss = TaskAlignedLoss(class_weights=weights)(answer, boxes, classes)
    assert loss.device == meta and loss.shape == (3,)


def test_images_without_objects_have_only_an_objectness_loss_and_finite_gradients() -> None:
    prediction, *_ = random_case(2, [0, 0])
    logits = prediction.logits.clone().requires_grad_()
    empty = AnchorPrediction(
        logits, *(getattr(prediction, n) for n in ("cells", "sizes", "strides", "anchors", "grids"))
    )
    for objects in (0, 2):
        loss = AnchorBasedLoss()(empty, torch.zeros(2, objects, 4), torch.full((2, objects), -1))
        torch.autograd.backward(loss.sum())
        assert loss[0] == 0 and loss[2] == 0 and loss[1] > 0
        assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_a_single_class_needs_no_class_loss() -> None:
    prediction, _, boxes, classes = random_case(4, [5], classes=1)
    assert AnchorBasedLoss()(prediction, *pad(boxes, classes))[2] == 0


def test_an_object_goes_to_its_cell_and_the_two_nearest_neighbours() -> None:
    boxes = torch.tensor([[[30.0, 28.0, 38.0, 40.0]]])  # centre (34, 34): cell (4, 4), nearer to the left and above
    anchors = torch.tensor([[[8.0, 12.0]]])
    (rows,), (valid,) = match(boxes, torch.zeros(1, 1, dtype=torch.int64), anchors, [(8, 8)], [8])
    cells = {(int(row) % 8, int(row) // 8) for row in rows[valid]}
    assert cells == {(4, 4), (3, 4), (4, 3)}


def test_an_object_at_the_edge_keeps_to_the_grid_and_an_unlike_one_is_not_matched() -> None:
    classes = torch.zeros(1, 2, dtype=torch.int64)
    boxes = torch.tensor([[[0.0, 0.0, 4.0, 6.0], [0.0, 0.0, 64.0, 2.0]]])
    (rows,), (valid,) = match(boxes, classes, torch.tensor([[[5.0, 5.0]]]), [(8, 8)], [8])
    assert {int(row) for row in rows[valid]} == {0}
    assert not valid[0, 1].any()


def test_shapes_differ_by_their_worst_side() -> None:
    sizes, anchors = torch.tensor([[10.0, 20.0], [0.0, 5.0]]), torch.tensor([5.0, 80.0])
    assert shape_ratio(sizes, anchors).tolist() == [4.0, float("inf")]


def test_gains_are_scaled_for_image_size_and_classes() -> None:
    assert scaled_gains(0.05, 1.0, 0.5, classes=80, imgsz=640) == pytest.approx((0.05, 1.0, 0.5))
    assert scaled_gains(0.05, 1.0, 0.5, classes=3, imgsz=320) == pytest.approx((0.05, 0.25, 0.5 * 3 / 80))

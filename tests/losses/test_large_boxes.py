"""Losses of boxes whose areas and products are beyond float16: computed in float32, whatever the model predicts in."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
import torch

from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.box_losses import BoxLoss
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.build import build_model
from lehr.options.loss import BoxLossName

SIDE = 1280
BOXES = torch.tensor(
    [[0.0, 0, 1280, 1280], [0, 0, 1280, 640], [320, 320, 1216, 1216], [8, 8, 1272, 40], [600, 700, 640, 730]]
)
"""Objects of up to 1,638,400 square pixels; float16 ends at 65,504."""
HALVES = [torch.float16, torch.bfloat16]


def prediction_of(model: str) -> Any:
    """Predictions of an image of 1,280 pixels, with large boxes among them."""
    torch.manual_seed(0)
    built = build_model(model, ("a", "b", "c"), SIDE, width=0.125).eval()
    with torch.no_grad():
        prediction = built(torch.rand(1, 3, SIDE, SIDE))
    raw = "distances" if model.startswith("yolov8") else "logits"
    return dataclasses.replace(prediction, **{raw: 4 * torch.randn_like(getattr(prediction, raw))})


def in_type(prediction: Any, dtype: torch.dtype) -> Any:
    """The same, what the layers of a model compute rounded to a type."""
    names = [name for name in ("distances", "logits") if hasattr(prediction, name)]
    return dataclasses.replace(prediction, **{name: getattr(prediction, name).to(dtype) for name in names})


@pytest.mark.parametrize(("model", "loss"), [("yolov8n", TaskAlignedLoss), ("yolov5n", AnchorBasedLoss)])
def test_half_precision_predictions_have_the_loss_of_the_same_numbers_in_single(model: str, loss: Any) -> None:
    prediction = prediction_of(model)
    boxes, classes = BOXES.unsqueeze(0), torch.tensor([[0, 1, 2, 0, 1]])
    for kind in get_args(BoxLossName):
        criterion = dataclasses.replace(loss(), box_loss=BoxLoss(kind, 12.8))
        for dtype in HALVES:
            half = in_type(prediction, dtype)
            sums, counts = criterion.sums(half, boxes, classes)
            expected, expected_counts = criterion.sums(in_type(half, torch.float32), boxes, classes)
            assert torch.isfinite(sums).all() and sums.dtype == torch.float32, kind
            assert torch.equal(sums, expected) and torch.equal(counts, expected_counts), kind
            assert counts.sum() > 0 and sums[0] > 0


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
@pytest.mark.parametrize("dtype", HALVES)
def test_boxes_and_scores_are_decoded_in_single_precision(model: str, dtype: torch.dtype) -> None:
    half = in_type(prediction_of(model), dtype)
    boxes, scores = half.decode()
    single = in_type(half, torch.float32).decode()
    assert boxes.dtype == scores.dtype == torch.float32
    assert torch.equal(boxes, single[0]) and torch.equal(scores, single[1])
    assert ((boxes[..., 2:] - boxes[..., :2]).prod(-1) > 65_504).any()


@pytest.mark.parametrize(("model", "loss"), [("yolov8n", TaskAlignedLoss), ("yolov5n", AnchorBasedLoss)])
def test_gradients_in_half_precision_are_finite(model: str, loss: Any) -> None:
    half = in_type(prediction_of(model), torch.float16)
    leaves = [getattr(half, name).requires_grad_() for name in ("distances", "logits") if hasattr(half, name)]
    loss()(half, BOXES.unsqueeze(0), torch.tensor([[0, 1, 2, 0, 1]])).sum().backward()
    assert all(torch.isfinite(leaf.grad).all() and leaf.grad.abs().sum() > 0 for leaf in leaves)  # type: ignore[union-attr]


@pytest.mark.parametrize(("model", "loss"), [("yolov8n", TaskAlignedLoss), ("yolov5n", AnchorBasedLoss)])
def test_each_of_a_thousand_objects_has_points_that_answer_for_it(model: str, loss: Any) -> None:
    prediction = prediction_of(model)
    corner = torch.stack(torch.meshgrid(torch.arange(40) * 32.0, torch.arange(25) * 48.0, indexing="ij"), -1).view(
        -1, 2
    )
    boxes, classes = torch.cat((corner, corner + 28), -1).unsqueeze(0), torch.arange(1000).unsqueeze(0) % 3
    criterion = loss()
    sums, counts = criterion.sums(prediction, boxes, classes)
    without, fewer = criterion.sums(prediction, boxes[:, :-1], classes[:, :-1])
    assert not torch.equal(counts, fewer) and torch.isfinite(sums).all()
    # The last object is the one that a bound of 999 would drop; adding it changes the loss of the boxes.
    assert sums[0] != without[0]

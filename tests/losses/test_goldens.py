"""The losses reproduce what was measured on the published trainers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.focal import FocalFactor
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.anchor_head import AnchorPrediction, anchor_rows
from lehr.models.dfl_head import DFLPrediction, anchor_points

GOLDENS = Path(os.environ.get("LEHR_GOLDENS", Path(__file__).parents[3] / "shared/facts/goldens"))
pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(not GOLDENS.is_dir(), reason="no goldens: set LEHR_GOLDENS to their folder"),
]


def padded_targets(rows: np.ndarray, imgsz: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (batch, objects, 4) xyxy in pixels and classes (batch, objects), from rows of image, class, x, y, w, h."""
    targets = torch.tensor(rows)
    counts = [int((targets[:, 0] == i).sum()) for i in range(batch)]
    boxes, classes = torch.zeros(batch, max(counts), 4), torch.full((batch, max(counts)), -1)
    for i in range(batch):
        own = targets[targets[:, 0] == i]
        centre, size = own[:, 2:4] * imgsz, own[:, 4:6] * imgsz
        boxes[i, : counts[i]] = torch.cat((centre - size / 2, centre + size / 2), 1)
        classes[i, : counts[i]] = own[:, 1].long()
    return boxes, classes


def test_task_aligned_loss_and_gradients_equal_the_published_trainers() -> None:
    golden = np.load(GOLDENS / "v8_loss.npz")
    imgsz, batch = int(golden["imgsz"]), len(golden["feat0"])
    features = [torch.tensor(golden[f"feat{i}"], requires_grad=True) for i in range(3)]
    sizes = [(x.shape[2], x.shape[3]) for x in features]
    points, strides = anchor_points(sizes, (8, 16, 32), torch.device("cpu"))
    rows = torch.cat([x.flatten(2) for x in features], 2).transpose(1, 2)
    boxes, classes = padded_targets(golden["targets"], imgsz, batch)
    box, cls, dfl = (float(x) for x in golden["gains"])

    prediction = DFLPrediction(rows[..., :64], rows[..., 64:], points, strides)
    loss = TaskAlignedLoss(box, cls, dfl)(prediction, boxes, classes)
    loss.sum().backward()

    np.testing.assert_allclose(loss.detach().numpy(), golden["loss_times_batch"], rtol=1e-5)
    for i, feature in enumerate(features):
        assert feature.grad is not None
        expected = golden[f"grad{i}"]
        np.testing.assert_allclose(feature.grad.numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["v5_loss", "v5_loss_smooth_focal"])
def test_anchor_based_loss_and_gradients_equal_the_published_trainers(name: str) -> None:
    golden = np.load(GOLDENS / f"{name}.npz")
    hyp = dict(zip(golden["hyp_keys"].tolist(), golden["hyp_values"].tolist(), strict=True))
    levels = [torch.tensor(golden[f"pred{i}"], requires_grad=True) for i in range(3)]
    anchors, grids = torch.tensor(golden["anchors_px"]), tuple((x.shape[2], x.shape[3]) for x in levels)
    cells, sizes, strides = anchor_rows(grids, anchors)
    rows = torch.cat([level.flatten(1, 3) for level in levels], 1)
    boxes, classes = padded_targets(golden["targets"], int(golden["imgsz"]), len(levels[0]))
    loss = AnchorBasedLoss(
        box=hyp["box"],
        obj=hyp["obj"],
        cls=hyp["cls"],
        anchor_t=hyp["anchor_t"],
        smoothing=hyp["label_smoothing"],
        cls_pw=hyp["cls_pw"],
        obj_pw=hyp["obj_pw"],
        factor=FocalFactor(hyp["fl_gamma"]) if hyp["fl_gamma"] else None,
    )(AnchorPrediction(rows, cells, sizes, strides, anchors, grids), boxes, classes)
    torch.autograd.backward(loss.sum())

    items = torch.tensor(golden["items_box_obj_cls"])
    torch.testing.assert_close(loss.detach() / len(levels[0]), items, rtol=1e-5, atol=0)
    torch.testing.assert_close(loss.detach().sum(), torch.tensor(golden["loss_times_batch"][0]), rtol=1e-5, atol=0)
    for i, level in enumerate(levels):
        expected = torch.tensor(golden[f"grad{i}"])
        assert level.grad is not None
        assert float((level.grad - expected).abs().max()) <= 1e-4 * float(expected.abs().max())

"""The losses reproduce what was measured on the published trainers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.losses.task_aligned import Gains, task_aligned_loss
from lehr.models.yolov8 import Prediction, anchor_points

GOLDENS = Path(os.environ.get("LEHR_GOLDENS", Path(__file__).parents[3] / "shared/facts/goldens"))
pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(not GOLDENS.is_dir(), reason="no goldens: set LEHR_GOLDENS to their folder"),
]


def test_task_aligned_loss_and_gradients_equal_the_published_trainers() -> None:
    golden = np.load(GOLDENS / "v8_loss.npz")
    imgsz, batch = int(golden["imgsz"]), len(golden["feat0"])
    features = [torch.tensor(golden[f"feat{i}"], requires_grad=True) for i in range(3)]
    sizes = [(x.shape[2], x.shape[3]) for x in features]
    points, strides = anchor_points(sizes, (8, 16, 32), torch.device("cpu"))
    rows = torch.cat([x.flatten(2) for x in features], 2).transpose(1, 2)
    targets = torch.tensor(golden["targets"])
    counts = [int((targets[:, 0] == i).sum()) for i in range(batch)]
    boxes, classes = torch.zeros(batch, max(counts), 4), torch.full((batch, max(counts)), -1)
    for i in range(batch):
        own = targets[targets[:, 0] == i]
        centre, size = own[:, 2:4] * imgsz, own[:, 4:6] * imgsz
        boxes[i, : counts[i]] = torch.cat((centre - size / 2, centre + size / 2), 1)
        classes[i, : counts[i]] = own[:, 1].long()
    box, cls, dfl = (float(x) for x in golden["gains"])

    prediction = Prediction(rows[..., :64], rows[..., 64:], points, strides)
    loss = task_aligned_loss(prediction, boxes, classes, Gains(box, cls, dfl))
    loss.sum().backward()

    np.testing.assert_allclose(loss.detach().numpy(), golden["loss_times_batch"], rtol=1e-5)
    for i, feature in enumerate(features):
        assert feature.grad is not None
        expected = golden[f"grad{i}"]
        np.testing.assert_allclose(feature.grad.numpy(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())

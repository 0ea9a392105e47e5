"""Memory that losses take where every shape is fixed, as on a GPU: on meta tensors, which have sizes and no content."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lehr.losses import task_aligned_assigner
from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.loss import Loss
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.anchor_head import AnchorPrediction, anchor_rows, default_anchors
from lehr.models.dfl_head import BINS, DFLPrediction, anchor_points

GIB = 2**30
GRIDS = ((80, 80), (40, 40), (20, 20))
STRIDES = (8, 16, 32)
ROOM = 0.9 * 24 * GIB - 6.5 * GIB
"""Of a card of 24 GB: a tenth is spared, and YOLOv8n keeps 6.5 GiB of its forward pass for backward."""


def dfl_prediction(batch: int, classes: int, device: str) -> DFLPrediction:
    """As YOLOv8's head answers to images of 640 pixels, in bfloat16."""
    points, strides = (each.to(device) for each in anchor_points(list(GRIDS), STRIDES, torch.device("cpu")))

    def leaf(width: int) -> Tensor:
        return torch.empty(batch, len(points), width, dtype=torch.bfloat16, device=device, requires_grad=True)

    return DFLPrediction(leaf(4 * BINS), leaf(classes), points, strides)


def anchor_prediction(batch: int, classes: int, device: str) -> AnchorPrediction:
    """As YOLOv5's head answers to images of 640 pixels, in bfloat16."""
    anchors = default_anchors()
    cells, sizes, strides = (each.to(device) for each in anchor_rows(GRIDS, anchors))
    logits = torch.empty(batch, len(cells), 5 + classes, dtype=torch.bfloat16, device=device, requires_grad=True)
    return AnchorPrediction(logits, cells, sizes, strides, anchors.to(device), GRIDS)


LOSSES: dict[str, tuple[Callable[..., Loss], Callable[[int, int, str], Any]]] = {
    "task-aligned": (TaskAlignedLoss, dfl_prediction),
    "anchor-based": (AnchorBasedLoss, anchor_prediction),
}


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the meta tensors that are made while it is entered and alive at a time, were they real.

    Attributes:
        peak: the most at any time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and tensor.device.type == "meta":
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:
            self._alive[key] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, key, None)
            self.peak = max(self.peak, sum(self._alive.values()))


def peak_of(name: str, objects: int) -> int:
    """Bytes at most of the loss of 64 images and of its backward pass, its answer included, by torch's operations."""
    build, predict = LOSSES[name]
    memory = PeakMemory()
    with memory:
        boxes = torch.empty(64, objects, 4, device="meta")
        classes = torch.empty(64, objects, dtype=torch.int64, device="meta")
        sums, _ = build().sums(predict(64, 80, "meta"), boxes, classes)
        sums.sum().backward()
    return memory.peak


@pytest.mark.parametrize("name", LOSSES)
def test_a_thousand_objects_an_image_fit_a_card_of_24_gb_without_kernels(name: str) -> None:
    assert peak_of(name, 1000) < ROOM


def test_all_pairs_of_a_crowded_batch_at_once_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_aligned_assigner, "CHUNK", 1 << 62)
    assert peak_of("task-aligned", 1000) > ROOM

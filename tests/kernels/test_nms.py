"""Suppression by kernels keeps what the rounds of torch's operations keep."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from tests.kernels.interpreted import interpreted
from torch import Tensor

from lehr.evaluation import nms
from lehr.evaluation.nms import _keep_by_rounds, suppress

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered")  # of boxes without area


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    with interpreted("nms") as module:
        yield module


def candidates(images: int, count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes in heaps, some of them equal and some without area; few are invalid."""
    generator = torch.Generator().manual_seed(seed)
    heap = torch.randint(0, 4, (images, count, 1), generator=generator) * 30.0
    corner = heap + torch.rand(images, count, 2, generator=generator) * 12
    boxes = torch.cat((corner, corner + torch.rand(images, count, 2, generator=generator) * 40), -1)
    boxes[:, 3::11] = boxes[:, :1]
    boxes[:, 5::17, 2:] = boxes[:, 5::17, :2]
    class_ids = torch.randint(0, classes, (images, count), generator=generator)
    return boxes, class_ids, torch.rand(images, count, generator=generator) > 0.05


@pytest.mark.parametrize("iou", [0.2, 0.7])
@pytest.mark.parametrize(
    ("images", "count", "classes"),
    [(3, 70, 2), (1, 64, 1), (2, 33, 3), (2, 1, 1), pytest.param(1, 300, 1, marks=pytest.mark.slow)],
)
def test_what_is_kept_is_what_the_rounds_keep(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch, images: int, count: int, classes: int, iou: float
) -> None:
    if count > 100:  # the interpreter takes as long for a program of many pairs as for few
        monkeypatch.setattr(kernel, "ROWS", 64)
        monkeypatch.setattr(kernel, "WORDS", 8)
    given = candidates(images, count, classes)
    kept = kernel.keep_best(*given, iou)
    assert kept.dtype == torch.bool and torch.equal(kept, _keep_by_rounds(*given, iou))
    assert count < 30 or 0 < int(kept.sum()) < int(given[2].sum())


def test_a_chain_in_which_each_rivals_the_next_keeps_every_other_one(kernel: ModuleType) -> None:
    left = torch.arange(70.0) * 2
    boxes = torch.stack((left, torch.zeros(70), left + 6, torch.ones(70)), -1)[None]  # neighbours share 4 of 8
    kept = kernel.keep_best(boxes, torch.zeros(1, 70, dtype=torch.int64), torch.ones(1, 70, dtype=torch.bool), 0.4)
    assert kept[0].tolist() == [place % 2 == 0 for place in range(70)]


def test_no_image_is_no_launch(kernel: ModuleType) -> None:
    assert kernel.keep_best(*candidates(0, 5, 1), 0.5).shape == (0, 5)


def test_a_device_with_kernels_suppresses_by_them(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(2, 40, 2, generator=generator) * 40
    boxes = torch.cat((corner, corner + 5 + torch.rand(2, 40, 2, generator=generator) * 40), -1)
    scores = torch.rand(2, 40, 3, generator=generator)
    expected = suppress(boxes, scores, iou=0.4)
    monkeypatch.setattr(nms, "_keep_by_image", nms._keep_all_at_once)
    monkeypatch.setattr(nms, "usable", lambda device: True)
    monkeypatch.setattr(nms, "_keep_by_rounds", lambda *_: pytest.fail("suppressed by torch's operations"))
    found = suppress(boxes, scores, iou=0.4)
    assert torch.equal(found.images, expected.images) and torch.equal(found.classes, expected.classes)
    assert torch.equal(found.boxes, expected.boxes) and torch.equal(found.scores, expected.scores)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("images", "count", "classes"), [(32, 1024, 80), (32, 1024, 1), (2, 8192, 1), (3, 2051, 5)])
def test_what_is_kept_on_a_gpu_is_what_the_rounds_keep(images: int, count: int, classes: int) -> None:
    from lehr.kernels.nms import keep_best

    given = [each.cuda() for each in candidates(images, count, classes)]
    expected = _keep_by_rounds(*given, 0.7)
    keep_best(*given, 0.7)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        kept = keep_best(*given, 0.7)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(kept, expected)

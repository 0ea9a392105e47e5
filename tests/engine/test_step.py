"""The loss of a batch whose parts are computed apart, as several devices of one process do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lehr.data.batch import Batch
from lehr.engine.step import ForwardLoss
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.techniques.precision import Precision


class Apart(nn.Module):
    """What DataParallel does, without devices: parts of a batch through one module, and what they give put together."""

    def __init__(self, module: nn.Module, sizes: list[int]) -> None:
        super().__init__()
        self.module = module
        self.sizes = sizes

    def forward(self, images: Tensor, boxes: Tensor, classes: Tensor, precision: Precision) -> tuple[Tensor, Tensor]:
        parts = zip(*(each.split(self.sizes) for each in (images, boxes, classes)), strict=True)
        sums, counts = zip(*(self.module(*part, precision) for part in parts), strict=True)
        return torch.cat(sums), torch.cat(counts)


def batch_of(count: int, empty: list[int]) -> Batch:
    """Random images with two objects each, but for those that have none."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, 2, generator=generator) * 30
    boxes = torch.cat((corners, corners + 8 + torch.rand(count, 2, 2, generator=generator) * 24), -1)
    classes = torch.randint(0, 2, (count, 2), generator=generator)
    boxes[empty], classes[empty] = 0, -1
    images = torch.randint(0, 256, (count, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return Batch(images, boxes, classes, torch.arange(count), torch.ones(count, 4))


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
@pytest.mark.parametrize(("sizes", "empty"), [([3, 3], []), ([4, 1, 1], [5]), ([5, 1], [0, 2])])
def test_parts_computed_apart_are_those_of_the_whole(name: str, sizes: list[int], empty: list[int]) -> None:
    model = build_model(name, ("a", "b"), 64, depth=0.01, width=0.125).eval()  # BatchNorm sees no batch then
    forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), 64), torch.device("cpu"))
    batch = batch_of(6, empty)
    found: list[tuple[Tensor, list[Any]]] = []
    for spread in (forward_loss._here, Apart(forward_loss._here, sizes)):
        forward_loss._spread = spread
        parts = forward_loss.parts(batch, None, Precision.FLOAT32)
        torch.autograd.backward(parts.sum())
        found.append((parts.detach(), [each.grad.clone() for each in model.parameters() if each.grad is not None]))
        model.zero_grad()
    (whole, gradients), (apart, others) = found
    torch.testing.assert_close(apart, whole, rtol=1e-5, atol=1e-6)
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_images_in_the_type_of_the_model_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(name, ("a", "b"), 64, depth=0.01, width=0.125).eval()
    forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), 64), torch.device("cpu"))
    seen: list[torch.dtype] = []
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0].dtype))
    losses = []
    for known in (True, False):
        monkeypatch.setattr(type(model), "convolves_images", known)
        losses.append(forward_loss.parts(batch_of(2, []), None, Precision.BFLOAT16))
    assert seen == [torch.bfloat16, torch.float32]
    assert torch.equal(*losses)

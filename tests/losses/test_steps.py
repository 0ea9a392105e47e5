"""Each choice of the loss trains a model of both kinds: two steps, two seeds, eagerly and in one graph."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.options import LossOptions

BOXES = ("diou", "giou", "siou", "eiou", "wiou", "nwd")
CHOICES: list[dict[str, Any]] = [
    *({"box_loss": kind} for kind in BOXES),
    {"cls_loss": "qfl"},
    {"cls_loss": "vfl"},
    {"fl_gamma": 1.5, "fl_alpha": 0.5},
    {"tal_topk": 13, "tal_alpha": 1.0},
]
FEW = {"yolov8n": ("siou", "nwd"), "yolov5n": ("wiou",)}
"""Losses of boxes that a model tries in the main suite; they are the same functions in each."""


def named(given: dict[str, Any]) -> str:
    return "-".join(map(str, given.values()))


def choices(few: dict[str, tuple[str, ...]]) -> list[Any]:
    """Each choice for each kind of model, slow where a loss of boxes is not one of few."""
    found = []
    for name, options in itertools.product(("yolov8n", "yolov5n"), CHOICES):
        slow = options.get("box_loss", few[name][0]) not in few[name]
        slow |= name == "yolov5n" and "tal_topk" in options  # which it does not use
        found.append(pytest.param(name, options, marks=pytest.mark.slow if slow else (), id=f"{name}-{named(options)}"))
    return found


def a_model(name: str, seed: int) -> DetectionModel:
    torch.manual_seed(seed)
    return build_model(name, ("a", "b"), width=0.125, depth=0.33).train()


def a_batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two images with three objects and one."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, 3, 2, generator=generator) * 30
    boxes = torch.cat((corners, corners + 8 + torch.rand(2, 3, 2, generator=generator) * 24), -1)
    classes = torch.tensor([[0, 1, 1], [1, -1, -1]])
    return torch.rand(2, 3, 64, 64, generator=generator), boxes, classes


def two_steps(name: str, seed: int, **options: Any) -> list[float]:
    """The loss before each of two steps, and after them."""
    model = a_model(name, seed)
    loss = build_loss(model, LossOptions(**options), 64, torch.tensor([0.5, 2.0]))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    images, boxes, classes = a_batch(seed)
    losses = []
    for _ in range(2):
        total = loss(model(images), boxes, classes).sum()
        losses.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)
        optimizer.step()
    return [*losses, float(loss(model(images), boxes, classes).sum().detach())]


@cache
def usual_steps(name: str) -> list[float]:
    """The same by the usual loss."""
    return two_steps(name, 0)


@pytest.mark.parametrize(("name", "options"), choices({**FEW, "yolov8n": BOXES}))
def test_two_steps_are_finite_repeat_and_differ_from_the_usual_ones(name: str, options: dict[str, Any]) -> None:
    first, second = two_steps(name, 0, **options), two_steps(name, 1, **options)
    assert np.isfinite([*first, *second]).all() and len({*first, *second}) == 6
    assert two_steps(name, 0, **options) == first
    if name == "yolov8n" or not any(option.startswith("tal_") for option in options):
        assert first != usual_steps(name)


@pytest.mark.parametrize(("name", "options"), choices(FEW))
def test_the_loss_is_one_graph_in_mixed_precision(name: str, options: dict[str, Any]) -> None:
    """The same loss when compiled, without a break for the host; finite gradients from bfloat16 predictions."""
    torch.compiler.reset()
    model, (images, boxes, classes) = a_model(name, 0), a_batch(0)
    loss = build_loss(model, LossOptions(**options), 64, torch.tensor([0.5, 2.0]))
    with torch.autocast("cpu", torch.bfloat16):
        prediction = model(images)
    compiled = torch.compile(loss.sums, backend="eager", fullgraph=True)
    eager, graph = loss.sums(prediction, boxes, classes)[0], compiled(prediction, boxes, classes)[0]
    torch.testing.assert_close(graph, eager, rtol=1e-4, atol=1e-5)
    assert torch.isfinite(eager).all()
    graph.sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)

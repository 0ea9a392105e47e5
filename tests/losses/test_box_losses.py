"""Box losses agree with slow versions of the papers' formulas, in value and gradient, and stay finite at any box."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tests.losses import anchor_oracle, oracle
from tests.losses import test_anchor_based as anchored
from tests.losses import test_task_aligned as aligned
from tests.losses.box_oracle import NWD_CONSTANT, ORACLES
from tests.without_effect import said_of

from lehr.config import build_config
from lehr.errors import InputError
from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.box_losses import BoxLoss
from lehr.losses.iou import ciou
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.options import LossOptions

KINDS = sorted(ORACLES)
every_kind = pytest.mark.parametrize("kind", KINDS)
ONE = torch.ones(1)


def random_pairs(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Boxes near each other, far apart, one within the other, and of very different shapes."""
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 60, (count, 2))
    true = np.concatenate((true, true + np.exp(rng.uniform(0, 4, (count, 2)))), 1)
    near = true + rng.normal(0, 0.3, (count, 4)) * np.tile(true[:, 2:] - true[:, :2], 2)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 0.5)
    far = rng.uniform(0, 200, (count, 2))
    far = np.concatenate((far, far + np.exp(rng.uniform(0, 4, (count, 2)))), 1)
    return np.where(rng.random((count, 1)) < 0.7, near, far), true


@every_kind
def test_a_loss_is_that_of_the_paper_at_1000_random_pairs(kind: str) -> None:
    predicted, true = random_pairs()
    expected = [ORACLES[kind](a, b, a) for a, b in zip(predicted, true, strict=True)]
    loss = BoxLoss(kind, NWD_CONSTANT)  # type: ignore[arg-type]
    ours = loss(torch.from_numpy(predicted), torch.from_numpy(true), ONE)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6, atol=1e-6)
    single = loss(torch.from_numpy(predicted).float(), torch.from_numpy(true).float(), ONE)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, rtol=1e-4, atol=1e-4)
    assert min(expected) >= 0 and max(expected) > 0.9


@pytest.mark.parametrize(
    ("kind", "bound"),
    [("ciou", 2.5), ("diou", 2), ("giou", 2), ("siou", 2.03), ("eiou", 3.25), ("wiou", np.e), ("nwd", 1)],
)
def test_a_loss_comes_near_its_bound_and_stays_below(kind: str, bound: float) -> None:
    far = torch.tensor([[0.0, 0, 1e4, 1e-2], [0, 0, 1e-1, 1e-1], [0, 0, 1, 1]], dtype=torch.float64)
    true = torch.tensor(
        [[2e4, 2e4, 2e4 + 1e-2, 3e4], [1e5, 1e5, 1e5 + 1, 1e5 + 1], [1e8, 1e4, 1e8 + 1e3, 1e4 + 1e2]],
        dtype=torch.float64,
    )
    predicted, others = (torch.from_numpy(boxes) for boxes in random_pairs())
    found = BoxLoss(kind)(torch.cat((far, predicted)), torch.cat((true, others)), ONE)  # type: ignore[arg-type]
    assert 0.75 * bound < float(found.max()) <= bound


@every_kind
def test_a_gradient_is_the_difference_quotient_of_the_paper_s_formula(kind: str) -> None:
    predicted, true = (boxes[:100] for boxes in random_pairs())
    ours = torch.from_numpy(predicted).requires_grad_()
    BoxLoss(kind, NWD_CONSTANT)(ours, torch.from_numpy(true), ONE).sum().backward()  # type: ignore[arg-type]
    assert ours.grad is not None
    step, oracle_of = 1e-6, ORACLES[kind]
    for a, b, gradient in zip(predicted, true, ours.grad.numpy(), strict=True):
        for side in range(4):
            low, high = a.copy(), a.copy()
            low[side], high[side] = a[side] - step, a[side] + step
            quotient = (oracle_of(high, b, a) - oracle_of(low, b, a)) / (2 * step)
            assert gradient[side] == pytest.approx(quotient, rel=1e-3, abs=1e-5)


@every_kind
@pytest.mark.parametrize("compiled", [False, True])
def test_a_loss_and_its_gradient_are_finite_at_degenerate_boxes(kind: str, compiled: bool) -> None:
    """Every pair of equal, empty, flat, touching, nested, tiny, huge and distant boxes; in a compiled graph, too."""
    each = [(0, 0, 0, 0), (5, 5, 5, 5), (5, 5, 5, 9), (5, 5, 9, 5), (5, 5, 9, 9), (9, 5, 12, 9), (6, 6, 8, 8)]
    each += [(5, 5, 5 + 1e-6, 5 + 1e-6), (0, 0, 1e4, 1e4), (9e3, 9e3, 9e3 + 1, 9e3 + 1), (0, 5, 1e4, 5 + 1e-3)]
    a, b = (torch.tensor(side, dtype=torch.float32) for side in zip(*itertools.product(each, each), strict=True))
    a.requires_grad_()
    loss = BoxLoss(kind)  # type: ignore[arg-type]
    found = (torch.compile(loss, backend="aot_eager", fullgraph=True) if compiled else loss)(a, b, ONE)
    found.sum().backward()
    assert torch.isfinite(found).all() and a.grad is not None and torch.isfinite(a.grad).all()
    assert (found > -1e-5).all()


@every_kind
def test_a_loss_is_nothing_at_the_true_box_and_falls_on_the_way_there(kind: str) -> None:
    true = torch.tensor([40.0, 40.0, 60.0, 52.0])
    away = torch.tensor([25.0, -14.0, 31.0, -2.0])
    path = true + away * torch.linspace(1, 0, 50).unsqueeze(1)
    losses = BoxLoss(kind)(path, true, ONE)  # type: ignore[arg-type]
    assert float(losses[-1]) == pytest.approx(0, abs=1e-4)
    assert (losses.diff() < 0).all()


def test_only_the_wasserstein_distance_depends_on_the_unit_and_on_its_constant() -> None:
    predicted, true = (torch.from_numpy(boxes) for boxes in random_pairs(50))
    for kind in KINDS:
        fine, coarse = (BoxLoss(kind)(predicted, true, torch.tensor([stride])) for stride in (8.0, 32.0))  # type: ignore[arg-type]
        torch.testing.assert_close(fine, coarse, rtol=1e-4, atol=1e-4)
    doubled = BoxLoss("nwd", 2 * NWD_CONSTANT)(2 * predicted, 2 * true, ONE)
    torch.testing.assert_close(doubled, BoxLoss("nwd", NWD_CONSTANT)(predicted, true, ONE), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(doubled, BoxLoss("nwd", NWD_CONSTANT)(2 * predicted, 2 * true, ONE), rtol=0.01)


def test_ciou_has_the_bits_of_before() -> None:
    predicted, true = (torch.from_numpy(boxes).float() for boxes in random_pairs())
    strides = torch.full((len(true), 1), 8.0)
    assert torch.equal(BoxLoss()(predicted, true, strides), 1 - ciou(predicted / strides, true / strides))


def slow(kind: str) -> dict[str, object]:
    return {"box_loss": lambda a, b: ORACLES[kind](a, b, a), "in_pixels": kind == "nwd"}


@every_kind
def test_the_task_aligned_loss_takes_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, boxes, classes = aligned.random_case(7, [5, 0, 3])
    loss = TaskAlignedLoss(box_loss=BoxLoss(kind, NWD_CONSTANT))  # type: ignore[arg-type]
    arguments = aligned.pad(boxes, classes, dtype=torch.float32)
    distances, logits, points, strides = (
        getattr(prediction, name).double().numpy() for name in ("distances", "logits", "points", "strides")
    )
    expected = oracle.loss(distances, logits, points, strides, boxes, classes, (7.5, 0.5, 1.5), **slow(kind))  # type: ignore[arg-type]
    np.testing.assert_allclose(loss(prediction, *arguments).numpy(), expected, rtol=1e-4)
    usual = TaskAlignedLoss()(prediction, *arguments)
    assert torch.equal(loss(prediction, *arguments)[1:], usual[1:])  # what is assigned and scored is as ever
    for module in ("task_aligned_assigner", "task_aligned"):
        monkeypatch.setattr(f"lehr.losses.{module}.supports_dynamic_shapes", lambda device: False)
    torch.testing.assert_close(loss(prediction, *arguments), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)


@every_kind
def test_the_loss_of_families_with_anchors_takes_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, levels, boxes, classes = anchored.random_case(7, [5, 0, 3])
    loss = AnchorBasedLoss(box_loss=BoxLoss(kind, NWD_CONSTANT))  # type: ignore[arg-type]
    arguments, anchors = anchored.pad(boxes, classes), prediction.anchors.double().numpy()
    expected = anchor_oracle.loss(levels, anchors, boxes, classes, (0.05, 1.0, 0.5), **slow(kind))  # type: ignore[arg-type]
    np.testing.assert_allclose(loss(prediction, *arguments).numpy(), expected, rtol=1e-4)
    usual = AnchorBasedLoss()(prediction, *arguments)
    assert torch.equal(loss(prediction, *arguments)[1:], usual[1:])  # objectness is taught CIoU under each
    monkeypatch.setattr("lehr.losses.anchor_based.supports_dynamic_shapes", lambda device: False)
    torch.testing.assert_close(loss(prediction, *arguments), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)


def test_the_options_reach_the_losses_and_are_checked() -> None:
    for kind in (TaskAlignedLoss, AnchorBasedLoss):
        given = LossOptions(box_loss="nwd", nwd_constant=20)
        made = kind.from_options(given, {"box": 1.0, "cls": 1.0}, classes=3, imgsz=64)
        assert made.box_loss == BoxLoss("nwd", 20)
    assert build_config({"box_loss": "GIoU"}).loss.box_loss == "giou"
    with pytest.raises(InputError, match="--box-loss is 'iou'; it must be 'ciou', 'diou'"):
        build_config({"box_loss": "iou"})
    with pytest.raises(InputError, match="--nwd-constant is 0"):
        build_config({"box_loss": "nwd", "nwd_constant": 0})
    assert said_of(nwd_constant=20) == ["--nwd-constant 20 has no effect: --box-loss is ciou."]
    assert not said_of(nwd_constant=20, box_loss="nwd")

"""Pages of the section "The loss"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from tests.techniques.formulas.check import Checks, Draw, Formula, Values, each, real, tensors
from torch import Tensor

from lehr.losses import box_losses
from lehr.losses.bce import ModulatingFactor, binary_loss
from lehr.losses.box_losses import OVERLAP_LOSSES, BoxPair, measure, nwd_loss
from lehr.losses.focal import FocalFactor
from lehr.losses.iou import aspect_difference, ciou, intersection, trade_off
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.losses.task_aligned import distribution_focal_loss
from lehr.models.dfl_head import BINS

X, Y = ("x", "w", "xt", "wt"), ("y", "h", "yt", "ht")
"""Centre and side of a predicted and of the true box along both axes, as the page of the box losses names them."""


def _boxes(names: Sequence[str]) -> Draw:
    """Boxes so large that what keeps divisions finite does not count; overlapping, nested and apart."""
    return lambda rng: {name: real(rng, 1e3 if name[0] in "wh" else 0, 1e4) for name in names}


def _corners(**given: Tensor) -> tuple[Tensor, Tensor]:
    """Both boxes, xyxy; where nothing is given, the same in both."""
    usual = torch.ones_like(next(iter(given.values())))
    x, w, xt, wt, y, h, yt, ht = (given.get(name, usual) for name in (*X, *Y))
    ours = torch.cat((x - w / 2, y - h / 2, x + w / 2, y + h / 2), -1)
    return ours, torch.cat((xt - wt / 2, yt - ht / 2, xt + wt / 2, yt + ht / 2), -1)


def _measure(code: Callable[[BoxPair], Tensor], names: Sequence[str] = (*X, *Y)) -> Formula:
    """A formula of what is measured of two boxes."""
    return Formula(tensors(lambda **given: code(measure(*_corners(**given)))), _boxes(names))


def _loss(code: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    """A formula of a box loss."""
    return Formula(tensors(lambda **given: code(*_corners(**given))), _boxes((*X, *Y)))


def _sides(pair: BoxPair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (w, wt), (h, ht) = pair.widths, pair.heights
    return w, h, wt, ht


def _nwd(constant: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.stack([nwd_loss(*each, float(c)) for *each, c in zip(a, b, constant, strict=True)])


def _slope(off: Tensor, constant: Tensor) -> Tensor:
    """How much the Wasserstein loss of a box of 20 pixels changes with each pixel that it is off."""
    off = off.clone().requires_grad_()
    box = torch.tensor([40.0, 40.0, 60.0, 60.0], dtype=off.dtype)
    moved = box + torch.cat((off, off * 0, off, off * 0), -1)
    (gradient,) = torch.autograd.grad(_nwd(constant, moved, box.expand_as(moved)).sum(), off)
    return gradient


def _dfl(low: Tensor, high: Tensor, t: Tensor) -> Tensor:
    """The distribution focal loss of a side whose bins below and above the distance have probabilities low and high."""
    rest = (1 - low - high) / (BINS - 2)
    index = t.floor().long()
    bins = rest.expand(-1, BINS).scatter(1, index, low).scatter(1, index + 1, high)
    return distribution_focal_loss(bins.log().unsqueeze(1).expand(-1, 4, -1), t.expand(-1, 4))


def _logit(p: float) -> Tensor:
    return torch.tensor(p, dtype=torch.float64).logit()


def _scores(*names: str, **parameters: tuple[float, float]) -> Draw:
    """Scores p and targets t, a quarter of which are 0; and parameters from bounds."""

    def draw(rng: np.random.Generator) -> dict[str, Values]:
        drawn = {"p": real(rng, 0.01, 0.99), "t": real(rng, 0, 1) * (real(rng, 0, 1) > 0.25)}
        given = {name: real(rng, low, high) for name, (low, high) in parameters.items()}
        return {name: drawn[name] for name in names} | given

    return draw


def _of_scores(factor: Callable[..., ModulatingFactor | None]) -> Callable[..., Values]:
    """Cross-entropy with a modulating factor that is made from parameters."""

    def loss(p: float, t: float, **parameters: float) -> float:
        score, target = torch.tensor([p, t], dtype=torch.float64)
        return float(binary_loss(score.logit(), target, factor=factor(**parameters)))

    return each(loss)


def _right(p: float, t: float) -> float:
    """How right a score is, from the factor with gamma 1 and positives and negatives weighed alike."""
    return 1 - 2 * float(FocalFactor(1.0, 0.5)(_logit(p), torch.tensor(t, dtype=torch.float64)))


CHECKS: dict[str, Checks] = {
    "focal-loss": Checks(
        formulas={
            "bce": Formula(_of_scores(lambda: None), _scores("p", "t")),
            "pt": Formula(each(_right), _scores("p", "t")),
            "fl": Formula(_of_scores(FocalFactor), _scores("p", "t", gamma=(0, 4), alpha=(0, 1))),
        },
    ),
    "quality-focal-loss": Checks(
        formulas={
            "bce": Formula(_of_scores(lambda: None), _scores("p", "t")),
            "qfl": Formula(_of_scores(QualityFocalFactor), _scores("p", "t", beta=(1, 4))),
            "vfl": Formula(_of_scores(VarifocalFactor), _scores("p", "t", alpha=(0, 2), gamma=(0, 4))),
            "less": Formula(
                each(lambda p, t, beta: QualityFocalFactor(beta)(_logit(p), torch.tensor(t, dtype=torch.float64))),
                _scores("p", "t", beta=(1, 4)),
            ),
        },
    ),
    "box-losses": Checks(
        formulas={
            "inter": _loss(lambda a, b: intersection(a.unbind(-1), b.unbind(-1))),
            "union": _measure(lambda pair: pair.union),
            "iou": _measure(lambda pair: pair.iou),
            "wc": _measure(lambda pair: pair.enclosing_w, X),
            "hc": _measure(lambda pair: pair.enclosing_h, Y),
            "d2": _measure(lambda pair: pair.distance, ("x", "y", "xt", "yt")),
            "c2": _measure(lambda pair: pair.diagonal),
            "v": Formula(tensors(lambda w, h, wt, ht: aspect_difference(w, h, wt, ht)), _boxes(("w", "h", "wt", "ht"))),
            "alpha": _measure(lambda pair: trade_off(aspect_difference(*_sides(pair)), pair.iou, 0)),
            "angle": _measure(box_losses.angle_cost, ("x", "y", "xt", "yt")),
            "distance": _measure(box_losses.distance_cost),
            "shape": _measure(box_losses.shape_cost, ("w", "h", "wt", "ht")),
            **{name: _loss(OVERLAP_LOSSES[name]) for name in OVERLAP_LOSSES},
            "ciou": _loss(lambda a, b: 1 - ciou(a, b, eps=0)),  # which is added to a ratio, too
            "nwd": Formula(
                tensors(lambda C, **given: _nwd(C, *_corners(**given))),
                lambda rng: {**_boxes((*X, *Y))(rng), "C": real(rng, 1e3, 1e5)},
            ),
            "slope": Formula(
                tensors(lambda off, C: _slope(off, C)),
                lambda rng: {"off": real(rng, 1e3, 6e4), "C": real(rng, 5e3, 5e4)},
            ),
            "dfl": Formula(
                tensors(_dfl),
                lambda rng: {"low": real(rng, 0.1, 0.5), "high": real(rng, 0.1, 0.4), "t": real(rng, 0, BINS - 1.01)},
            ),
        },
        figures={"over {} bins": BINS},
    ),
}

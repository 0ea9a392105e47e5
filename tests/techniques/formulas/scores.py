"""Pages of the section "The loss" that are about classes, scores and assignment."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import torch
from tests.techniques.formulas.check import Checks, Draw, Formula, Values, each, real, tensors, whole
from torch import Tensor

from lehr.losses import task_aligned_assigner
from lehr.losses.anchor_based import LEVEL_WEIGHTS
from lehr.losses.anchor_matching import shape_ratio
from lehr.losses.label_smoothing import smoothed
from lehr.models.anchor_head import boxes_from_logits
from lehr.techniques.class_weights import class_weights

POINTS = 12


def between(several: int = 1, **bounds: tuple[float, float]) -> Draw:
    """Draw each name from an interval."""
    return lambda rng: {name: real(rng, *ends, several) for name, ends in bounds.items()}


def smooth(target: float, smoothing: float, certainty: float = 1.0) -> float:
    return float(smoothed(torch.tensor(target, dtype=torch.float64), smoothing, certainty))


def decoded(t: Tensor, cell: Tensor, size: Tensor, stride: Tensor) -> Tensor:
    """Boxes xyxy of logits that are the same in all four columns."""
    return boxes_from_logits(t.expand(-1, 4), cell.expand(-1, 2), size.expand(-1, 2), stride)


def centre(t_x: Tensor, cell_x: Tensor, stride: Tensor) -> Tensor:
    box = decoded(t_x, cell_x, torch.ones_like(t_x), stride)
    return (box[:, :1] + box[:, 2:3]) / 2


def width(t_w: Tensor, a_w: Tensor) -> Tensor:
    box = decoded(t_w, torch.zeros_like(t_w), a_w, torch.ones_like(t_w))
    return box[:, 2:3] - box[:, :1]


def alignment(score: float, alpha: float, CIoU: float, beta: float) -> float:
    """The measure of a single point for a single object whose overlap this is."""
    one = torch.ones(1, 1, 4, dtype=torch.float64)
    scores, overlap = torch.tensor([[[score]]], dtype=torch.float64), torch.tensor([[[CIoU]]], dtype=torch.float64)
    with patch.object(task_aligned_assigner, "ciou", lambda *_: overlap.clone()):
        _, measure = task_aligned_assigner._measure_all(
            scores, one, one, torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, 1, dtype=torch.bool), alpha, beta
        )
    return float(measure)


def target(measures: list[float], ious: list[float], measure_point: float) -> float:
    """The target score of an object's first point, of all the points that it takes."""
    overlap, measure = (torch.tensor([[row]], dtype=torch.float64) for row in (ious, measures))
    assert measure_point == measures[0]
    return float(task_aligned_assigner._take_dense(overlap, measure, POINTS, 0.0).weights[0, 0])


def points(rng: np.random.Generator) -> dict[str, Values]:
    measures = real(rng, 0.01, 1, POINTS)
    return {"measures": measures, "ious": real(rng, 0.01, 1, POINTS), "measure_point": measures[:, :1]}


def tood() -> tuple[object, ...]:
    switches = {switch.name: switch for switch in task_aligned_assigner.TECHNIQUE.switches}
    on = switches["tood_alignment"].on
    return on["tal_alpha"], on["tal_beta"], on["tal_topk"]


SIDES = dict.fromkeys(("w", "h", "a_w", "a_h"), (1.0, 300.0))

CHECKS: dict[str, Checks] = {
    "anchor-matching": Checks(
        formulas={
            "match": Formula(
                tensors(
                    lambda w, h, a_w, a_h, anchor_t: (
                        shape_ratio(torch.cat((w, h), 1), torch.cat((a_w, a_h), 1)) < anchor_t[:, 0]
                    ).double()
                ),
                between(**SIDES, anchor_t=(1.5, 8)),
            ),
            "x": Formula(tensors(centre), between(t_x=(-6, 6), cell_x=(0, 80), stride=(8, 32))),
            "width": Formula(tensors(width), between(t_w=(-6, 6), a_w=(1, 300))),
        },
        figures={"objectness weighs {}, {} and {}": LEVEL_WEIGHTS},
    ),
    "class-weights": Checks(
        formulas={
            "w_c": Formula(
                each(lambda n_c, power: class_weights(n_c, power)),
                lambda rng: {"n_c": whole(rng, 1, 1000, 5), "power": real(rng, 0, 2)},
            ),
        },
    ),
    "label-smoothing": Checks(
        formulas={
            "t_anchor": Formula(each(lambda t, s: smooth(t, s)), between(t=(0, 1), s=(0.001, 0.99))),
            "own": Formula(each(lambda s: smooth(1, s)), between(s=(0.001, 0.99))),
            "other": Formula(each(lambda s: smooth(0, s)), between(s=(0.001, 0.99))),
            "t_point": Formula(each(lambda t, s, w: smooth(t, s, w)), between(t=(0, 1), s=(0.001, 0.99), w=(0, 1))),
            "own_point": Formula(each(lambda s, w: smooth(w, s, w)), between(s=(0.001, 0.99), w=(0, 1))),
            "other_point": Formula(each(lambda s, w: smooth(0, s, w)), between(s=(0.001, 0.99), w=(0, 1))),
        },
        figures={
            "a target score of {} and s of {}: {} for its class, {} for": (
                *(0.2, 0.1),
                *(round(smooth(target, 0.1, 0.2), 6) for target in (0.2, 0.0)),
            ),
        },
    ),
    "task-aligned-assignment": Checks(
        formulas={
            "measure": Formula(each(alignment), between(score=(0, 1), alpha=(0.1, 2), CIoU=(-1, 1), beta=(0.5, 8))),
            "target": Formula(each(target), points),
        },
        figures={"values are alpha {}, beta {} and {} points": tood()},
    ),
}

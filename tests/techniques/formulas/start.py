"""Pages of the section "The model's start", and of the recipes that a run may start from."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from tests.techniques.formulas.check import Checks, Draw, Formula, each, real, whole
from tests.techniques.formulas.scores import SIDES, between, width

from lehr.hyperparameters import PRESETS
from lehr.models.anchor_head import CLASSES, OBJECTNESS, AnchorHead
from lehr.models.detection import STRIDES
from lehr.models.dfl_head import DFLHead
from lehr.techniques import autoanchor
from lehr.techniques.auto import NEW_CLASSES_LR0_MULT, TRAINED_LR0_MULT
from lehr.techniques.plan import TRAINED_WARMUP_EPOCHS, WARMUP_EPOCHS
from lehr.weights.class_rows import ClassTransfer
from lehr.weights.transfer import Transfer

FLOAT32 = 1e-6
"""Biases are float32."""
CHANNELS = (16, 16, 16)


@cache
def anchor_head(classes: int) -> AnchorHead:
    return AnchorHead(classes, CHANNELS)


@cache
def dfl_head(classes: int, channels: int = 16) -> DFLHead:
    return DFLHead(classes, (channels, 16, 16))


def anchor_bias(column: int, classes: int, stride: int, shares: tuple[float, ...] | None = None) -> float:
    """A bias of the head with anchors: of objectness, or of a class."""
    head = anchor_head(classes)
    head.start_biases(shares)
    bias = head.m[STRIDES.index(stride)].bias
    assert isinstance(bias, torch.Tensor)
    return float(bias.view(-1, 5 + classes)[0, column])


def dfl_bias(classes: int, stride: int, shares: tuple[float, ...] | None = None) -> float:
    """The first class's bias of the head without anchors."""
    head = dfl_head(classes)
    head.start_biases(shares)
    return float(head.cv3[STRIDES.index(stride)][2].bias[0])  # type: ignore[index,union-attr,arg-type]


def gap(p_rare: float, p_common: float) -> float:
    shares = (p_rare, p_common)
    rare, common = (anchor_bias(CLASSES.start + place, 2, 8, shares) for place in (0, 1))
    return rare - common


def strides(**more: tuple[int, int]) -> Draw:
    return lambda rng: {
        "stride": rng.choice(STRIDES, (1000, 1)).astype(np.float64),
        **{name: whole(rng, *ends) for name, ends in more.items()},
    }


def class_channels(channels: int, classes: int) -> int:
    conv = dfl_head(classes, channels).cv3[0][0].conv  # type: ignore[index,union-attr]
    return int(conv.out_channels)  # type: ignore[union-attr,arg-type]


def side_ratio(w: float, h: float, a_w: float, a_h: float) -> float:
    return float(autoanchor.side_ratio(np.array([[w, h]]), np.array([[a_w, a_h]]))[0, 0])


def answers(w: float, h: float, a_w: float, a_h: float, anchor_t: float) -> float:
    return autoanchor.measure(np.array([[a_w, a_h]]), np.array([[w, h]], np.float64), anchor_t).bpr


def decoded_width(t: float, a_w: float) -> float:
    return float(width(torch.tensor([[t]], dtype=torch.float64), torch.tensor([[a_w]], dtype=torch.float64)))


def is_trained(taken: int, tensors: int) -> bool:
    return Transfer(taken, tensors, False, "", ClassTransfer((), (), "name")).is_most


CHECKS: dict[str, Checks] = {
    "autoanchor": Checks(
        formulas={
            "ratio": Formula(each(side_ratio), between(**SIDES)),
            "answers": Formula(each(answers), between(**SIDES, anchor_t=(1.5, 8))),
            "width": Formula(each(decoded_width), between(t=(-6, 6), a_w=(1, 300))),
        },
        figures={
            "At a recall of {} or less": autoanchor.ENOUGH_RECALL,
            "replaced at a recall of {} or less": autoanchor.ENOUGH_RECALL,
            "then {} generations": autoanchor.GENERATIONS,
            "(probability {}, sigma {})": (autoanchor.MUTATION_PROBABILITY, autoanchor.MUTATION_SIGMA),
            "(at most {})": round(decoded_width(50.0, 1.0), 6),
        },
    ),
    "freezing": Checks(),
    "frequency-bias": Checks(
        formulas={
            "off_anchors": Formula(
                each(lambda classes: anchor_bias(CLASSES.start, classes, 8)),
                lambda rng: {"classes": whole(rng, 1, 12)},
                FLOAT32,
            ),
            "off": Formula(each(dfl_bias), strides(classes=(1, 12)), FLOAT32),
            "on_anchors": Formula(
                each(lambda p_c: anchor_bias(CLASSES.start, 2, 8, (p_c, 1 - p_c))), between(p_c=(0.001, 0.9)), FLOAT32
            ),
            "on": Formula(
                each(lambda p_c, stride: dfl_bias(2, stride, (p_c, 1 - p_c))),
                lambda rng: {**strides()(rng), "p_c": real(rng, 0.001, 0.9)},
                FLOAT32,
            ),
            "objectness": Formula(each(lambda stride: anchor_bias(OBJECTNESS, 3, stride)), strides(), FLOAT32),
            "gap": Formula(each(gap), between(p_rare=(0.001, 0.1), p_common=(0.2, 0.9)), 1e-5),
        },
    ),
    "hyperparameter-files": Checks(figures={"at {} times its rate": PRESETS["fine-tuning"]["lr0_mult"]}),
    "pretrained-start": Checks(
        formulas={
            "wide": Formula(
                each(class_channels),
                lambda rng: {
                    "channels": 16 * 2 ** whole(rng, 0, 3),
                    "classes": rng.choice([1.0, 3.0, 20.0, 80.0, 99.0, 100.0, 101.0, 130.0], (1000, 1)),
                },
            ),
            "trained": Formula(each(is_trained), lambda rng: {"tensors": whole(rng, 2, 9), "taken": whole(rng, 0, 9)}),
        },
        figures={
            "takes {} times [its rate]": TRAINED_LR0_MULT,
            "rate is up to {} times": NEW_CLASSES_LR0_MULT,
            "takes {} epoch in place of {}.": (TRAINED_WARMUP_EPOCHS, WARMUP_EPOCHS),
        },
    ),
}

"""Draws the curves of losses, and of what weighs classes; NAMEs choose among them.

Each picture calls the technique's own code, so that it shows what the code does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lehr.losses.bce import binary_loss
from lehr.losses.box_losses import TITLES, BoxLoss
from lehr.losses.focal import FocalFactor
from lehr.losses.iou import box_iou_aligned
from lehr.losses.label_smoothing import smoothed
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.losses.task_aligned import distribution_focal_loss
from lehr.plots.figure import legend, logarithmic, new_figure, save_figure, styled
from lehr.plots.style import COLOURS, DOT, GREY
from lehr.techniques.class_weights import class_weights
from lehr.techniques.frequency_bias import class_shares

HERE = Path(__file__).parent
BLOOD_CELLS = {"red cells": 2382, "white cells": 214, "platelets": 209}
"""Objects of the 205 training images of docs/results.md, as `lehr data stats` counts them."""


def label_smoothing() -> None:
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    logits = torch.linspace(-3, 9, 300)
    for smoothing in (0.0, 0.05, 0.1, 0.2):
        targets = smoothed(torch.ones_like(logits), smoothing)
        loss = binary_loss(logits, targets)
        axis.plot(logits.sigmoid(), loss - loss.min(), label=f"smoothing {smoothing:g}")
        axis.plot(float(logits[loss.argmin()].sigmoid()), 0, "o", markersize=DOT, color=axis.lines[-1].get_color())
    axis.set(
        xlabel="score given to the true class", ylabel="loss above its minimum", ylim=(-0.02, 0.6), xlim=(0.3, 1.005)
    )
    legend(axis)
    save_figure(figure, HERE / "label-smoothing.svg")


def focal_loss() -> None:
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    logits = torch.linspace(-5, 5, 300)
    for gamma in (0.0, 0.5, 1.5, 3.0):
        loss = binary_loss(logits, torch.ones_like(logits), factor=FocalFactor(gamma) if gamma else None)
        axis.plot(logits.sigmoid(), loss, label=f"gamma {gamma:g}" if gamma else "off")
    axis.set(xlabel="score given to the true class", ylabel="loss", ylim=(1e-6, 10))
    logarithmic(axis, "y")
    legend(axis)
    save_figure(figure, HERE / "focal-loss.svg")


def quality_focal_loss() -> None:
    figure, axes = new_figure(1, 2, height=3.2)
    logits = torch.linspace(-5, 5, 300)
    losses = {"cross-entropy": None, "quality focal": QualityFocalFactor(), "varifocal": VarifocalFactor()}
    for axis, target, title in zip(axes, (0.0, 0.7), ("background", "a box of quality 0.7"), strict=True):
        for label, factor in losses.items():
            loss = binary_loss(logits, torch.full_like(logits, target), factor=factor)
            axis.plot(logits.sigmoid(), loss, label=label)
        axis.set(xlabel="score", ylabel="loss", title=title, ylim=(0, 2.5))
    legend(figure)
    save_figure(figure, HERE / "quality-focal-loss.svg")


def bars_of_classes() -> None:
    places = np.arange(len(BLOOD_CELLS))
    counts, labels = list(BLOOD_CELLS.values()), [f"{name}\n{count} objects" for name, count in BLOOD_CELLS.items()]
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    for number, power in enumerate((0.0, 0.5, 1.0)):
        weights = class_weights(counts, power)
        axis.bar(places + (number - 1) * 0.27, weights, 0.25, color=COLOURS[number], label=f"power {power:g}")
    axis.set_xticks(places, labels)
    axis.set(ylabel="weight in the loss")
    logarithmic(axis, "y")
    legend(axis)
    save_figure(figure, HERE / "class-weights.svg")

    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    shares = class_shares(counts)
    alike = [0.6 / (len(counts) - 0.99999)] * len(counts)
    axis.bar(places - 0.2, alike, 0.38, color=COLOURS[0], label="all alike")
    axis.bar(places + 0.2, shares, 0.38, color=COLOURS[1], label="--frequency-bias")
    axis.set_xticks(places, labels)
    axis.set(ylabel="initial class probability")
    legend(axis)
    save_figure(figure, HERE / "frequency-bias.svg")


def box_losses() -> None:
    figure, (overlap, bins) = new_figure(1, 2, width=10, height=4)
    true = torch.tensor([40.0, 40.0, 60.0, 60.0])
    shifts = torch.linspace(0, 60, 200)
    other = torch.tensor([35.0, 44.0, 65.0, 56.0])
    moved = other + torch.stack((shifts, torch.zeros_like(shifts), shifts, torch.zeros_like(shifts)), -1)
    overlap.plot(shifts, 1 - box_iou_aligned(moved, true), color=GREY, linestyle=":", label="1 - IoU")
    for kind, title in TITLES.items():
        overlap.plot(shifts, BoxLoss(kind)(moved, true, torch.ones(1)), label=title)
    overlap.set(xlabel="shift of a 30 x 12 box from a 20 x 20 box, pixels", ylabel="loss", ylim=(0, 2.6))
    legend(overlap)
    distances = torch.linspace(0, 8, 200)
    for low, share in ((3, 0.25), (3, 0.5)):
        logits = torch.full((1, 4, 16), -6.0)
        logits[..., low], logits[..., low + 1] = np.log(1 - share), np.log(share)
        loss = [float(distribution_focal_loss(logits, distance.repeat(1, 4))) for distance in distances]
        bins.plot(distances, loss, label=f"bins 3 and 4 with {1 - share:g} and {share:g}")
    bins.set(xlabel="true distance, strides", ylabel="distribution focal loss", ylim=(0, 8))
    legend(bins)
    save_figure(figure, HERE / "box-losses.svg")


PICTURES: dict[str, Callable[[], None]] = {
    "label-smoothing": label_smoothing,
    "focal-loss": focal_loss,
    "quality-focal-loss": quality_focal_loss,
    "class-weights": bars_of_classes,
    "frequency-bias": bars_of_classes,
    "box-losses": box_losses,
}

if __name__ == "__main__":
    for function in dict.fromkeys(PICTURES[name] for name in sys.argv[1:] or PICTURES):
        with styled():
            function()

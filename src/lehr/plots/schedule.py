"""The course of runs: rates of the parameter groups, momentum and accumulation over the steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lehr.plots.figure import integer_ticks, legend, new_figure, save_figure, set_title, styled
from lehr.techniques.plan import TrainingPlan

MAX_POINTS = 5_000


@styled()
def plot_schedules(plans: Mapping[str, TrainingPlan], path: Path) -> None:
    """Draw the course of one run, or of several for comparison.

    Args:
        plans: by the name that the legend shows.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    figure, (weights, biases, momentum, accumulate) = new_figure(2, 2, height=2.8)
    for name, plan in plans.items():
        steps = range(0, plan.steps, max(1, plan.steps // MAX_POINTS))
        epochs = [step / plan.batches for step in steps]
        rates = [plan.at(step) for step in steps]
        label = name if len(plans) > 1 else None
        (line,) = weights.plot(epochs, [rate.lr_weights for rate in rates], label=label)
        if plan.options.backbone_lr_mult != 1:
            backbone = [rate.lr_weights * rate.backbone for rate in rates]
            weights.plot(epochs, backbone, color=line.get_color(), linestyle="--")
        biases.plot(epochs, [rate.lr_biases for rate in rates])
        momentum.plot(epochs, [rate.momentum for rate in rates])
        accumulate.step(epochs, [rate.accumulate for rate in rates], where="post")
    slowed = any(plan.options.backbone_lr_mult != 1 for plan in plans.values())
    titles = (
        f"learning rate, weights and norms{' (backbone: dashed)' if slowed else ''}",
        "learning rate, biases",
        "momentum",
        "batches per optimizer step",
    )
    for axis, title in zip((weights, biases, momentum, accumulate), titles, strict=True):
        set_title(axis, title)
        axis.set_xlabel("epoch")
        integer_ticks(axis)
    for axis in (weights, biases, accumulate):
        axis.set_ylim(bottom=0)
    if len(plans) > 1:
        legend(figure)
    save_figure(figure, path)

"""Label smoothing: targets below certainty, so that scores stay calibrated and a wrong label does less harm.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, in its two-class form.
"""

from __future__ import annotations

from torch import Tensor

from lehr.losses.without_effect import why_no_class_loss, without
from lehr.technique import Section, State, Switch, Technique


def smoothed(targets: Tensor, smoothing: float, certainty: float | Tensor = 1.0) -> Tensor:
    """Pull targets towards the middle: `t (1 - s) + w s / 2`.

    Args:
        targets: any shape, 0 to 1.
        smoothing: s, 0 to 1; 0 changes nothing.
        certainty: w, the target of the true class, 0 to 1, broadcastable to the targets: 1 if targets are 0 and 1, the
            target score of a point in a task-aligned loss, so that background stays at 0.
    """
    return targets if smoothing == 0 else targets * (1 - smoothing) + certainty * (smoothing / 2)


TECHNIQUE = Technique(
    name="label smoothing",
    page="label-smoothing",
    section=Section.LOSS,
    order=40,
    options=("label_smoothing",),
    without_effect=lambda run: without(("label_smoothing",), why_no_class_loss(run)),
    why="scores stay calibrated if labels are doubtful",
    state=lambda run: State(run.config.loss.label_smoothing > 0, f"{run.config.loss.label_smoothing:g}"),
    switches=(Switch("label_smoothing", {"label_smoothing": 0.1}, {"label_smoothing": 0.0}),),
)

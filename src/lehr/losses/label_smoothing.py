"""Label smoothing: targets short of certainty, so that scores stay honest and a wrong label does less harm.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, in its two-class form.
"""

from __future__ import annotations

from torch import Tensor

from lehr.technique import Section, State, Switch, Technique


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Targets pulled towards the middle: `t (1 - s) + s / 2`.

    Args:
        targets: any shape, 0 to 1.
        smoothing: s, 0 to 1; 0 changes nothing.
    """
    return targets if smoothing == 0 else targets * (1 - smoothing) + smoothing / 2


TECHNIQUE = Technique(
    name="label smoothing",
    page="label-smoothing",
    section=Section.LOSS,
    order=40,
    options=("label_smoothing",),
    why="scores stay honest where labels are doubtful",
    state=lambda run: State(run.config.loss.label_smoothing > 0, f"{run.config.loss.label_smoothing:g}"),
    switches=(Switch("label_smoothing", {"label_smoothing": 0.1}, {"label_smoothing": 0.0}),),
)

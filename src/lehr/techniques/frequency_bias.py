"""Class-frequency bias: the class scores start at each class's frequency, instead of all equal.

The biases of the last layer are set so that an untrained head already predicts the right shares (Lin et al., "Focal
Loss for Dense Object Detection", 2017, section 4.1, class by class): `log(share)` with anchors, where objectness
carries the number of objects, and `log(5 share / cells)` without, at 640 pixels. Classes that start from weights keep
the bias of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from lehr.models.detection import DetectionModel
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, training_samples
from lehr.techniques.class_weights import equally_frequent
from lehr.techniques.pretrained_start import expected_transfer


def class_shares(counts: Sequence[float]) -> list[float]:
    """Each class's share of the objects, adding up to 1; a class without objects counts as one.

    Args:
        counts: objects of each class.
    """
    objects = [max(count, 1) for count in counts]
    return [count / sum(objects) for count in objects]


def start_from_frequencies(model: DetectionModel, counts: Sequence[float]) -> None:
    """Set the head's biases for the objects of a data set, before training.

    Args:
        model: the model.
        counts: objects of each class.
    """
    model.head.start_biases(class_shares(counts))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    """No effect with equally frequent classes and no anchors, or with weights that have all classes."""
    model, samples = run.config.model, training_samples(run)
    if not model.frequency_bias or run.dataset is None or samples is None:
        return {}
    replayed = run.config.data.replay > 0 and run.classes > 1  # then the older images count as well
    if not run.config.family.anchors and not replayed and equally_frequent(samples, run.classes):
        why = "the data have one class" if run.classes == 1 else "all classes have equally many objects"
        return {"frequency_bias": NoEffect(why, acts_as=False)}
    transfer = expected_transfer(run.config, run.dataset.names)
    if transfer is not None and not transfer.classes.fresh:
        return {"frequency_bias": NoEffect("all classes start from the weights", acts_as=False)}
    return {}


def _state(run: Run) -> State:
    model = run.config.model
    which = "" if model.weights is None else ", for classes that do not start from the weights"
    return State(model.frequency_bias, f"shares of the training split{which}")


TECHNIQUE = Technique(
    name="class-frequency bias",
    page="frequency-bias",
    section=Section.MODEL,
    order=40,
    options=("frequency_bias",),
    without_effect=_without_effect,
    why="the first epochs need not learn the frequency of each class",
    state=_state,
    switches=(Switch("frequency_bias", {"frequency_bias": True}, {"frequency_bias": False}),),
)

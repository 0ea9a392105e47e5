"""Weights as a start for another model: what fits is taken, class by class where the classes are others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lehr.models.detection import DetectionModel
from lehr.technique import Section, State, Switch, Technique
from lehr.weights.class_rows import ClassTransfer, carry_classes
from lehr.weights.source import open_weights


@dataclass(frozen=True, slots=True)
class Transfer:
    """Outcome of a transfer of weights.

    Attributes:
        taken: tensors copied.
        total: tensors of the model.
        anchors: whether the anchors are among them.
        source: the model that the weights are of, for people.
        classes: which classes start from the weights.
    """

    taken: int
    total: int
    anchors: bool
    source: str
    classes: ClassTransfer


def take_fitting_weights(model: DetectionModel, path: Path) -> Transfer:
    """Copy the tensors of a weights file whose name and shape fit into a model, as a start for new classes.

    The others keep the values that the model was built with. Of the class layers, rows of classes of the same name are
    copied.

    Raises:
        InputError: the file is missing or damaged.
    """
    source = open_weights(path)
    details, shapes = source.details, source.shapes
    state, prefix = model.state_dict(), f"model.{len(model.model) - 1}."
    fits = {name for name, shape in shapes.items() if name in state and state[name].shape == shape}
    classes_there = len(details.names or model.names)
    of_classes = {prefix + name: len(rows) for name, rows in model.head.class_rows(classes_there).items()}
    wanted = {name for name, rows in of_classes.items() if shapes.get(name) == (rows, *state[name].shape[1:])}
    given = source.read(fits | wanted)
    fitting = {name: value for name, value in given.items() if name in fits}
    classes, layers = carry_classes(model, given, details.names)
    fitting |= {name: value for name, value in layers.items() if value is not None}
    for name in [name for name, value in layers.items() if value is None]:
        fitting.pop(name, None)
    model.load_state_dict({**state, **fitting})
    anchors = any(name.endswith(".anchors") for name in fitting)
    factors = (("depth", details.depth), ("width", details.width))
    scale = "".join(f", {key} {value}" for key, value in factors if value is not None)
    return Transfer(len(fitting), len(state), anchors, details.model + scale, classes)


TECHNIQUE = Technique(
    name="pretrained start",
    page="pretrained-start",
    section=Section.MODEL,
    order=10,
    options=("weights",),
    why="features learned elsewhere need fewer images here",
    state=lambda run: State(run.config.model.weights is not None, str(run.config.model.weights)),
    switches=(Switch("pretrained_start", {"weights": ...}, {"weights": None}, aliases=("weights",)),),
    turn_on="--weights FILE",
)

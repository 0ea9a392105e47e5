"""Weights as a start for another model: what fits is taken, class by class where the classes are others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lehr.errors import InputError
from lehr.models.detection import DetectionModel
from lehr.weights.class_rows import ClassRows, ClassTransfer, Shapes, match_class_rows, with_rows
from lehr.weights.metadata import WeightsMetadata
from lehr.weights.source import open_weights


@dataclass(frozen=True, slots=True)
class Transfer:
    """Outcome of a transfer of weights.

    Attributes:
        taken: tensors copied, whole or in part.
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

    @property
    def is_most(self) -> bool:
        """True if at least half of the tensors were copied: the start is a trained model."""
        return 2 * self.taken >= self.total

    @property
    def known(self) -> float:
        """Share of the classes that start from the weights, 0 to 1."""
        carried, fresh = len(self.classes.carried), len(self.classes.fresh)
        return carried / (carried + fresh) if fresh else 1.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Tensors of weights that fit into a model.

    Attributes:
        whole: names of those to copy whole.
        rows: rows of class layers to copy.
        outcome: what the copying comes to.
    """

    whole: frozenset[str]
    rows: ClassRows
    outcome: Transfer


def take_fitting_weights(model: DetectionModel, path: Path, reset_head: bool = False) -> Transfer:
    """Copy the tensors of a weights file whose name and shape fit into a model, as a start for its classes.

    The others keep the values that the model was built with. Of the class layers, rows of classes of the same name are
    copied.

    Args:
        model: as it was built, with the biases of a start.
        path: a file of weights.
        reset_head: begin the layers that only serve the class scores, and rows of classes in others, from scratch.

    Raises:
        InputError: the file is missing or damaged, or what is to be taken is not finite.
    """
    source, state = open_weights(path), model.state_dict()
    selection = select_fitting(model, source.details, source.shapes, reset_head)
    pairs = selection.rows.pairs
    given = source.read(selection.whole | pairs.keys())
    for name, tensor in given.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(
                f"{path}: {name} holds numbers that are not finite, as of a training that diverged. Give other weights."
            )
    taken = {name: given[name] for name in selection.whole}
    taken |= {name: with_rows(state[name], given[name], rows) for name, rows in pairs.items()}
    model.load_state_dict({**state, **taken})
    return selection.outcome


def select_fitting(
    model: DetectionModel, details: WeightsMetadata, shapes: Shapes, reset_head: bool = False
) -> Selection:
    """Select the tensors of weights that fit into a model, by their names, shapes and classes; none is read.

    Args:
        model: the model; its tensors may be without values.
        details: what the weights say of their model.
        shapes: the shapes of their tensors, by name.
        reset_head: as in `take_fitting_weights`.
    """
    state = model.state_dict()
    rows = match_class_rows(model, shapes, details.names, reset_head)
    fitting = {name for name, shape in shapes.items() if name in state and state[name].shape == shape}
    whole = frozenset(fitting - rows.pairs.keys() - set(rows.fresh))
    factors = (("depth", details.depth), ("width", details.width))
    scale = "".join(f", {key} {value}" for key, value in factors if value is not None)
    outcome = Transfer(
        len(whole) + len(rows.pairs),
        len(state),
        any(name.endswith(".anchors") for name in whole),
        details.model + scale,
        rows.classes,
    )
    return Selection(whole, rows, outcome)

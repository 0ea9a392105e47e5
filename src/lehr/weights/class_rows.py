"""Class layers of weights with other classes: rows of equal names are carried over, the others begin from scratch.

The last layers of a head have rows that belong to a class each. Weights for as many but other classes have tensors of
the same shape, where the first row may be for persons there and for cracks here; weights for more classes may have all
that are needed. So rows are matched by the names of their classes, and by their numbers only where no names are known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from lehr.models.detection import NO_CLASS, DetectionModel
from lehr.weights.class_names import match_names

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ClassTransfer:
    """Classes that start from weights, and those that begin from scratch.

    Attributes:
        carried: the model's classes whose rows come from the weights.
        fresh: its other classes.
        by: how they were matched: the weights have the `same` classes in the same order; by `name`; by their `place`,
            since names or rows are not known; or not at all, the class layers having another `shape`, or since a
            `reset` was asked for.
        known: the classes of the weights; empty if they are not known.
        renamed: those carried whose name is written otherwise there: the name here and there.
        misfit: how the shape of the class layers differs, for people; empty if it does not.
    """

    carried: tuple[str, ...]
    fresh: tuple[str, ...]
    by: Literal["same", "name", "place", "shape", "reset"]
    known: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    misfit: str = ""

    @property
    def is_complete(self) -> bool:
        """True if the weights know every class of the model by its name."""
        return self.by in ("same", "name") and not self.fresh


@dataclass(frozen=True, slots=True)
class ClassRows:
    """Rows to copy from weights into the class layers of a model.

    Attributes:
        classes: which classes start from the weights.
        pairs: by the tensor's name, the row of the model and that of the weights, for each row to be copied; tensors
            that are not here are copied whole where they fit.
        fresh: names of tensors of which nothing is to be copied.
    """

    classes: ClassTransfer
    pairs: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    fresh: Collection[str] = ()


def match_class_rows(
    model: DetectionModel, shapes: Shapes, others: tuple[str, ...] | None, reset: bool = False
) -> ClassRows:
    """Match the class layers of weights with those of a model.

    Args:
        model: the model.
        shapes: the shapes of the tensors of the weights, by name.
        others: the names of their classes; None if they have none.
        reset: have the whole class branch begin from scratch, whatever the names are.
    """
    prefix = f"model.{len(model.model) - 1}."
    own = {name: tuple(value.shape) for name, value in model.state_dict().items() if name.startswith(prefix)}
    layers = {prefix + name: rows for name, rows in model.head.class_rows(len(model.names)).items()}
    known = others or ()
    if layers and (reset or (others is not None and others != model.names)):
        return _matched(model, shapes, known, own, reset)
    if reset:
        return ClassRows(ClassTransfer((), model.names, "reset", known), fresh=own)
    if any(shapes.get(name) != own[name] for name in layers or own):
        return ClassRows(ClassTransfer((), model.names, "shape", known, misfit=_misfit(layers or own, own, shapes)))
    return ClassRows(ClassTransfer(model.names, (), "same" if others == model.names else "place", known))


def _matched(model: DetectionModel, shapes: Shapes, known: tuple[str, ...], own: Shapes, reset: bool) -> ClassRows:
    """Match rows by the names of their classes; those of no class are copied in any case."""
    prefix, head = f"model.{len(model.model) - 1}.", model.head
    layers = {prefix + name: rows for name, rows in head.class_rows(len(model.names)).items()}
    there = {prefix + name: rows for name, rows in head.class_rows(len(known or model.names)).items()}
    branch = tuple(prefix + name for name in head.class_branch)
    fresh = {name for name in own if branch and name.startswith(branch)} if reset else set()
    misfits = [name for name, rows in there.items() if shapes.get(name) != (len(rows), *own[name][1:])]
    if misfits:
        how = ClassTransfer((), model.names, "reset" if reset else "shape", known, misfit=_misfit(misfits, own, shapes))
        return ClassRows(how, fresh=fresh | layers.keys())
    matched = {} if reset else match_names(model.names, known)
    pairs = {name: _pairs(layers[name], there[name], matched) for name in layers if name not in fresh}
    fresh |= {name for name, rows in pairs.items() if not rows}
    carried = tuple(model.names[index] for index in matched)
    unmatched = tuple(name for index, name in enumerate(model.names) if index not in matched)
    written = [(model.names[index], known[place]) for index, place in matched.items()]
    renamed = tuple((here, other) for here, other in written if here != other)
    classes = ClassTransfer(carried, unmatched, "reset" if reset else "name", known, renamed)
    return ClassRows(classes, {name: rows for name, rows in pairs.items() if rows}, fresh)


def _pairs(rows: Sequence[int], there: Sequence[int], matched: Mapping[int, int]) -> list[tuple[int, int]]:
    """The rows of a class layer that weights have too, each with its row there.

    Args:
        rows: the class index of each row of the model, or `NO_CLASS`; those of a class are in the order of the anchors.
        there: the same of the weights.
        matched: the weights' class index by the model's.
    """
    places: dict[int, list[int]] = {}
    for row, index in enumerate(there):
        places.setdefault(index, []).append(row)
    match = {**matched, NO_CLASS: NO_CLASS}
    seen: dict[int, int] = {}
    pairs = []
    for row, index in enumerate(rows):
        if index in match:
            pairs.append((row, places[match[index]][seen.get(index, 0)]))
            seen[index] = seen.get(index, 0) + 1
    return pairs


def with_rows(fresh: Tensor, other: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """A class layer's tensor with rows of weights in it.

    Args:
        fresh: the model's own, (rows, ...).
        other: that of the weights, (other rows, ...).
        pairs: row of the model and row of the weights, at least one pair.
    """
    result = fresh.clone()
    targets, sources = map(list, zip(*pairs, strict=True))
    result[targets] = other[sources].to(fresh)
    return result


def _misfit(names: Collection[str], own: Shapes, shapes: Shapes) -> str:
    """Say how the first of some tensors differs from that of the weights."""
    name = next((name for name in names if shapes.get(name) != own[name]), None)
    if name is None:
        return "their class layers are not of as many classes as they name"
    if name not in shapes:
        return f"they have no {name}"
    here, there = own[name], shapes[name]
    if len(here) == len(there) > 1 and here[1] != there[1]:
        return f"their class layers have {there[1]} channels, and {here[1]} here"
    return f"their {name} is {list(there)}, and {list(here)} here"

"""Class layers of weights with other classes: rows of equal names are carried over, the others start fresh.

The last layers of a head have rows that belong to a class each. Weights for as many but other classes have tensors of
the same shape, where the first row may be for persons there and for cracks here; weights for more classes may have all
that are needed. So rows are matched by the names of their classes, and by their numbers only where no names are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lehr.models.detection import NO_CLASS, DetectionModel


@dataclass(frozen=True, slots=True)
class ClassTransfer:
    """Classes that start from weights.

    Attributes:
        carried: the model's classes whose rows come from the weights.
        by: how they were matched: the weights have the `same` classes in the same order; by `name`; by their `place`,
            since names or rows are not known; or not at all, the class layers having another `shape`.
    """

    carried: tuple[str, ...]
    by: Literal["same", "name", "place", "shape"]


def carry_classes(
    model: DetectionModel, given: Mapping[str, Tensor], others: Sequence[str] | None
) -> tuple[ClassTransfer, dict[str, Tensor | None]]:
    """Match the class layers of weights with those of a model.

    Args:
        model: the model; its own rows are what fresh classes start from.
        given: the tensors of the weights, by name.
        others: the names of their classes; None where they have none.

    Returns:
        What was carried over, and by their names the class layers' tensors to load instead of those of the weights;
        None for one of which nothing is carried over.
    """
    state, prefix = model.state_dict(), f"model.{len(model.model) - 1}."
    layers = {prefix + name: rows for name, rows in model.head.class_rows(len(model.names)).items()}
    if not layers or others is None or tuple(others) == model.names:
        names = layers or [name for name in state if name.startswith(prefix)]
        fit = all(name in given and given[name].shape == state[name].shape for name in names)
        return ClassTransfer(model.names if fit else (), "same" if others == model.names else "place"), {}
    rows_there = {prefix + name: rows for name, rows in model.head.class_rows(len(others)).items()}
    sizes = {name: (len(rows), *state[name].shape[1:]) for name, rows in rows_there.items()}
    if any(name not in given or given[name].shape != size for name, size in sizes.items()):
        return ClassTransfer((), "shape"), dict.fromkeys(layers)
    matched = match_names(model.names, others)
    carried = {name: _carried(state[name], given[name], layers[name], rows_there[name], matched) for name in layers}
    return ClassTransfer(tuple(model.names[index] for index in matched), "name"), carried


def match_names(names: Sequence[str], others: Sequence[str]) -> dict[int, int]:
    """Match classes by name: the index of each one among `others`, by its index among `names`; first come, first match.

    Args:
        names: the model's classes.
        others: those of the weights.
    """
    places = {name: place for place, name in reversed(list(enumerate(others)))}
    return {index: places[name] for index, name in enumerate(names) if name in places}


def _carried(
    fresh: Tensor, other: Tensor, rows: Sequence[int], other_rows: Sequence[int], matched: Mapping[int, int]
) -> Tensor | None:
    """A class layer's tensor with the rows that weights have for it; None where they have none.

    Args:
        fresh: the model's own, (rows, ...).
        other: that of the weights, (other rows, ...).
        rows: the class index of each row of the model, or `NO_CLASS`; those of a class are in the order of the anchors.
        other_rows: the same of the weights.
        matched: the weights' class index by the model's.
    """
    places: dict[int, list[int]] = {}
    for row, index in enumerate(other_rows):
        places.setdefault(index, []).append(row)
    match = {**matched, NO_CLASS: NO_CLASS}
    pairs = [(row, places[match[index]].pop(0)) for row, index in enumerate(rows) if index in match]
    if not pairs:
        return None
    result = fresh.clone()
    targets, sources = map(list, zip(*pairs, strict=True))
    result[targets] = other[sources].to(fresh)
    return result

"""The classes that weights and a data set share: evaluated, while those of only one side are named and skipped.

A class is matched by its name (`lehr.weights.class_names`), whatever its number; names that are written otherwise are
said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample
from lehr.weights.class_names import match_names

NAMED = 10
"""Classes named in a line."""


@dataclass(frozen=True, slots=True)
class SharedClasses:
    """A split as weights are evaluated on it.

    Attributes:
        samples: the split; its classes are indices into `names`, and what is of other classes is not in it.
        names: the classes that are evaluated, as the weights name them, in their order.
        columns: the class of the weights that each of them is.
        notes: what is not evaluated, one line each.
    """

    samples: Sequence[Sample]
    names: tuple[str, ...]
    columns: tuple[int, ...]
    notes: tuple[str, ...] = ()


def share_classes(samples: Sequence[Sample], names: Sequence[str], known: Sequence[str], source: str) -> SharedClasses:
    """Restrict a split to the classes that weights know, numbered in the order of the weights.

    Args:
        samples: the split, numbered by `names`.
        names: the data set's class names.
        known: the class names of the weights.
        source: the data set, for messages.

    Raises:
        InputError: there is no such class, or all objects are of others.
    """
    same = same_names(names, known)
    columns = tuple(sorted(same.values()))
    if not columns:
        raise InputError(_no_class(names, known, source))
    shared = tuple(known[column] for column in columns)
    if tuple(names) == shared:
        return SharedClasses(samples, shared, columns, _notes(names, known, same, Counter()))
    order = np.array([columns.index(same[name]) if name in same else -1 for name in names], np.int64)
    foreign: Counter[str] = Counter()
    for sample in samples:
        foreign.update(names[number] for number in sample.classes[order[sample.classes] < 0].tolist())
    restricted = [sample.renumbered(order) for sample in samples]
    if foreign and not any(len(sample.classes) for sample in restricted):
        raise InputError(
            f"{source}: {count_objects(foreign.total())} in the split, all of classes that the weights do not know "
            f"({listed(foreign)}). The weights know {listed(known)}."
        )
    return SharedClasses(restricted, shared, columns, _notes(names, known, same, foreign))


def same_names(names: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """Match classes by name, one that differs only in case, blanks, hyphens and underscores where that is certain.

    Args:
        names: a data set's class names.
        known: those of weights, or of a run.

    Returns:
        The number among `known` of each name; names without one are absent.
    """
    return {names[index]: number for index, number in match_names(names, known).items()}


def _notes(names: Sequence[str], known: Sequence[str], same: dict[str, int], foreign: Counter[str]) -> tuple[str, ...]:
    """Describe what is not evaluated, and names that are taken as the same."""
    notes = []
    alike = [f"'{name}' is '{known[number]}'" for name, number in same.items() if name != known[number]]
    unknown = [name for name in names if name not in same]
    taken = set(same.values())
    unnamed = [name for number, name in enumerate(known) if number not in taken]
    if alike:
        notes.append(f"Names taken as the same, though the weights write them otherwise: {listed(alike)}.")
    if unknown or unnamed:
        shared = [known[number] for number in sorted(same.values())]
        notes.append(f"Evaluated: the {_count(len(shared))} that weights and data share: {listed(shared)}.")
    if unknown:
        listing = [f"{name} ({count_objects(foreign[name])})" for name in unknown]
        notes.append(f"Not evaluated: {_count(len(unknown))} that the weights do not know: {listed(listing)}.")
    if unnamed:
        notes.append(
            f"Not counted: detections of {_count(len(unnamed))} that the data set does not have: {listed(unnamed)}."
        )
    return tuple(notes)


def _no_class(names: Sequence[str], known: Sequence[str], source: str) -> str:
    """Say that no class is shared, and what is likely the cause."""
    message = f"{source}: has no class of the weights. It has {listed(names)}; the weights know {listed(known)}."
    if tuple(known) == ("object",):
        return f"{message} They were trained with all classes as one: give --single-cls."
    if tuple(names) == ("object",):
        return f"{message} Remove --single-cls: these weights were trained with several classes."
    if len(names) == len(known):
        return f"{message} If they are the same under other names, name them in the data set as in the training."
    return f"{message} Evaluate on a data set with classes of the weights."


def _count(classes: int) -> str:
    return counted(classes, "class")


def count_objects(count: int) -> str:
    """Return a count of objects in words: "1 object", "no objects"."""
    return counted(count, "object") if count else "no objects"


def listed(names: Iterable[str]) -> str:
    """Return the first names of some, each in one line, and the count of the others.

    Args:
        names: of classes, perhaps with a remark each.
    """
    entries = list(names)
    more = [f"and {len(entries) - NAMED} more"] if len(entries) > NAMED else []
    return ", ".join([*map(one_line, entries[:NAMED]), *more])

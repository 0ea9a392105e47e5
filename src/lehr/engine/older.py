"""Older data: a second data set on which a run is evaluated, so that forgetting becomes visible.

Its classes are matched with the run's by name. Classes that the run does not have are not evaluated: the model has no
output for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lehr.config import TrainConfig
from lehr.data.check import refuse_unusable
from lehr.data.difficult import with_difficult
from lehr.data.faults import describe_faults
from lehr.data.load import require_split
from lehr.data.tiled_split import TiledSplit, images_of
from lehr.errors import InputError
from lehr.evaluation.shared_classes import count_objects, listed, same_names
from lehr.runtime.counted import counted
from lehr.sample import Dataset, Sample
from lehr.techniques.single_class import as_one_class


@dataclass(frozen=True, slots=True)
class OlderData:
    """An older data set, with its classes numbered like the run's.

    Attributes:
        source: what `--keep-val` names.
        names: the classes that it shares with the run, as the run names them, in the run's order.
        columns: the run's class index of each.
        val: its validation split, or the tiles of it.
        train: its training split, or the tiles of it; empty if it has none.
        notes: what is evaluated and what cannot be, one line each.
    """

    source: str
    names: tuple[str, ...]
    columns: tuple[int, ...]
    val: Sequence[Sample]
    train: Sequence[Sample] = ()
    notes: tuple[str, ...] = ()

    @property
    def evaluated(self) -> Sequence[Sample]:
        """The validation split, its classes numbered by `names`."""
        order = np.full(max(self.columns) + 1, -1, np.int64)
        order[list(self.columns)] = np.arange(len(self.columns))
        images = [sample.renumbered(order) for sample in images_of(self.val)]
        return self.val.of(images) if isinstance(self.val, TiledSplit) else images


def read_older(config: TrainConfig, names: Sequence[str], read: Callable[[str], Dataset], source: str) -> OlderData:
    """Read and check the older data set of a run.

    Args:
        config: the run's options.
        names: the run's classes.
        read: reads a data set.
        source: its place.

    Raises:
        InputError: it cannot be used, or shares no class with the run.
    """
    dataset = _read_as_older(read, source)
    refuse_unusable(dataset, config.data.skip_broken)
    if config.data.single_cls:
        dataset = as_one_class(dataset)
    dataset = with_difficult(dataset, config.data.difficult)
    val = require_split(dataset, "val")
    same = same_names(dataset.names, names)
    if config.data.single_cls and len(dataset.names) == len(names) == 1:  # whatever its name
        same = {dataset.names[0]: 0}
    if not same:
        raise InputError(_no_class(source, config.data.data, dataset.names, names))
    order = np.array([same.get(name, -1) for name in dataset.names], np.int64)
    if not any((order[sample.classes] >= 0).any() for sample in val):
        raise InputError(
            f"--keep-val {source}: no image of its split 'val' has an object of a class that the run has "
            f"({listed(sorted(same))})."
        )
    columns = tuple(sorted(same.values()))
    older = OlderData(source, tuple(names[column] for column in columns), columns, _numbered(val, order))
    train = dataset.splits.get("train") or ()
    older = replace(older, train=_numbered(train, order), notes=_notes(older, dataset, val, order, config.data.data))
    if config.data.replay == 0:
        return older
    require_split(dataset, "train")
    if not any(len(sample.classes) for sample in older.train):
        raise InputError(
            f"--replay {config.data.replay:g}: no training image of {source} has an object of a class that the run has "
            f"({listed(older.names)})."
        )
    return replace(older, notes=(*older.notes, *_dropped(older, dataset, train, order)))


def _read_as_older(read: Callable[[str], Dataset], source: str) -> Dataset:
    """Read a data set; if it is not found, the message names the option."""
    try:
        return read(source)
    except InputError as error:
        raise InputError(str(error).replace("--data ", "--keep-val ")) from None


def _numbered(samples: Sequence[Sample], order: NDArray[np.int64]) -> Sequence[Sample]:
    if (order == np.arange(len(order))).all():
        return samples
    return [sample.renumbered(order) for sample in samples]


def _notes(
    older: OlderData, dataset: Dataset, val: Sequence[Sample], order: NDArray[np.int64], data: str
) -> tuple[str, ...]:
    """Describe what is evaluated, and which classes cannot be kept."""
    images = counted(len(val), "image")
    notes = [
        f"Older data {older.source}: each evaluation includes {images} of it, on the classes that it shares with the "
        f"run: {listed(older.names)}."
    ]
    missing = [name for name, number in zip(dataset.names, order.tolist(), strict=True) if number < 0]
    if missing:
        counts = _foreign(dataset, val, order)
        some = [f"{name} ({count_objects(counts[name])})" for name in missing]
        one = len(missing) == 1
        notes.append(
            f"--keep-val {older.source}: {'1 class is' if one else f'{len(missing)} classes are'} not among the run's "
            f"and cannot be kept, since the model has no output for {'it' if one else 'them'}: {listed(some)}. "
            f"{_remedy(data)}"
        )
    return (*notes, *describe_faults(dataset.faults))


def _dropped(older: OlderData, dataset: Dataset, train: Sequence[Sample], order: NDArray[np.int64]) -> tuple[str, ...]:
    """Report which objects of the replayed images are not trained on."""
    counts = _foreign(dataset, train, order)
    if not counts:
        return ()
    some = listed([f"{name} ({count_objects(count)})" for name, count in counts.items()])
    return (
        f"Replay: {count_objects(counts.total())} in the training images of {older.source} are of classes that the run "
        f"does not have, and are treated as background: {some}.",
    )


def _foreign(dataset: Dataset, samples: Sequence[Sample], order: NDArray[np.int64]) -> Counter[str]:
    """Count the objects of each class that the run does not have."""
    return Counter(
        dataset.names[number] for sample in samples for number in sample.classes[order[sample.classes] < 0].tolist()
    )


def _no_class(source: str, data: str, names: Sequence[str], known: Sequence[str]) -> str:
    return (
        f"--keep-val {source}: shares no class with the run, so nothing of it could be kept. It has {listed(names)}; "
        f"the run has {listed(known)}. {_remedy(data)} If they are the same classes under other names, rename them."
    )


def _remedy(data: str) -> str:
    """Explain how classes of older data get an output in the model."""
    return f"To keep such classes, name them in {data} too."

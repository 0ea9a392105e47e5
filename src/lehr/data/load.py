"""Reading a data set, whatever its layout: a table of formats, to which other packages add."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lehr.data.formats.class_list import CLASS_LIST
from lehr.data.formats.coco import COCO
from lehr.data.formats.cvat import CVAT
from lehr.data.formats.darknet import DARKNET
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.shapes import SHAPES
from lehr.data.formats.voc import VOC
from lehr.data.formats.yolo import YOLO, YOLO_FOLDER
from lehr.data.limits import max_objects, too_many_objects
from lehr.data.missing_files import most_labels_missing
from lehr.data.unknown_source import describe_unknown
from lehr.errors import InputError
from lehr.plugins import PluginTable
from lehr.sample import SPLITS, Dataset, Fault, Sample, Severity

FORMATS = PluginTable(
    "lehr.data_formats", DataFormat, (SHAPES, YOLO, COCO, YOLO_FOLDER, DARKNET, CVAT, VOC, CLASS_LIST)
)
"""In the order in which they are preferred; those of other packages come last."""


def register_format(data_format: DataFormat) -> None:
    """Add a data format for this process; a package names it as an entry point `lehr.data_formats` instead.

    Raises:
        TypeError: it is not a DataFormat.
        ValueError: the name is taken by another format.
    """
    FORMATS.add(data_format)


def load_dataset(source: str, seed: int = 0, needed: Collection[str] = ("train", "val")) -> Dataset:
    """Read what `--data` names.

    Args:
        source: `shapes`, a data YAML, a folder that holds one, a VOC folder, a COCO JSON, a pair `train.json,val.json`
            or a folder of them, CVAT's XML or its folder; what a registered format takes; or FORMAT:SOURCE, by the
            name of a format.
        seed: splits a folder that comes without splits.
        needed: the splits that must have images where the source names them.

    Raises:
        InputError: it does not exist, its layout is unknown, or a needed split is named but empty.
    """
    if not source.strip():
        raise InputError("--data : is empty. Name a data YAML, a folder, a VOC folder, a COCO JSON, or shapes.")
    with _without_collections():
        dataset = _read(source, seed)
    reasons = [dataset.absent[split] for split in SPLITS if split in dataset.absent]
    if not any(dataset.splits.values()) and reasons:
        raise InputError("\n".join(reasons))
    for split in needed:
        if split in dataset.absent and not dataset.splits.get(split):
            raise InputError(dataset.absent[split])
    return dataset


MANY_OBJECTS = 10_000
"""New objects below which looking through them costs less than counting those that others have frozen."""


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Keep Python from looking for garbage while objects are made by the hundred thousand, none of which is any."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        many = gc.get_count()[0] > MANY_OBJECTS
        if many and gc.get_freeze_count() == 0:  # among the old ones, they are not looked through at once
            gc.freeze()
            gc.unfreeze()
        if on:
            gc.enable()


def _read(source: str, seed: int) -> Dataset:
    """Read a source by the first format that takes it."""
    name, colon, rest = source.partition(":")
    exists = _exists(source)
    if colon and not exists:
        named = FORMATS.find(name)
        if named is not None:
            _exists(rest)
            return _with_faults(named.read(rest, seed), [])
    for formats in (FORMATS.known, FORMATS.all):
        taken = [(each, reasons) for each in formats() if (reasons := each.recognises(source))]
        if taken:
            (chosen, reasons), *others = taken
            dataset = chosen.read(source, seed)
            notes = [_choice(source, chosen, reasons, other, why) for other, why in others if other.read != chosen.read]
            return _with_faults(dataset, notes)
    raise InputError(_unrecognised(source))


def _with_faults(dataset: Dataset, notes: Sequence[Fault]) -> Dataset:
    """Add what only shows in the data set as a whole."""
    crowded = _too_many_objects(dataset)
    found = [*most_labels_missing(dataset), *crowded.values(), *notes]
    if not found:
        return dataset
    splits = {
        split: [sample for sample in samples if sample.path not in crowded] if crowded else samples
        for split, samples in dataset.splits.items()
    }
    return dataclasses.replace(dataset, splits=splits, faults=(*dataset.faults, *found))


def _too_many_objects(dataset: Dataset) -> dict[Path, Fault]:
    """The faults of images that have more objects than a training step could take."""
    limit = max_objects()
    return {
        sample.path: Fault("too-many-objects", sample.path, too_many_objects(count) or "", None)
        for samples in dataset.splits.values()
        for sample in samples
        if (count := len(sample.classes) + len(sample.ignored.classes)) > limit
    }


def _exists(source: str) -> bool:
    """Return whether a source is a file or folder.

    Raises:
        InputError: it cannot be, or one may not look.
    """
    try:
        return Path(source).expanduser().exists()
    except RuntimeError:
        raise InputError(f"--data {source}: there is no such home folder here. Write the whole path.") from None
    except OSError as error:
        raise InputError(f"--data {source[:200]}: cannot be accessed ({error.strerror}).") from None


def _choice(source: str, chosen: DataFormat, reasons: Sequence[str], other: DataFormat, why: Sequence[str]) -> Fault:
    """Report which of two formats a source was read as, and how to select the other."""
    message = (
        f"is read as {chosen.name} ({reasons[0]}), though it could be {other.name} ({why[0]}). To select that: --data "
        f"{other.name}:{source}"
    )
    return Fault("two-formats", Path(source), message, severity=Severity.NOTE)


def _unrecognised(source: str) -> str:
    """Explain why no format accepts a source, and which formats it resembles."""

    def recognised(other: str) -> str | None:
        return next((reasons[0] for each in FORMATS.all() if (reasons := each.recognises(other))), None)

    near = [f"{each.name}: {missing}" for each in FORMATS.all() if (missing := each.misses(source)) is not None]
    return describe_unknown(source, recognised, near)


def require_split(dataset: Dataset, split: str, objects: bool = True) -> Sequence[Sample]:
    """Return the samples of a split, which must exist and hold an object.

    Args:
        dataset: the data set.
        split: the split's name.
        objects: whether it must hold an object; else images of background are enough.

    Raises:
        InputError: the split is missing, empty, or has no labelled object.
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: must be one of {', '.join(SPLITS)}.")
    samples = dataset.splits.get(split)
    if not samples and split in dataset.absent:
        raise InputError(dataset.absent[split])
    if samples is None:
        raise InputError(
            f"{dataset.source}: has no split '{split}'; it has {', '.join(dataset.splits)}. To split its images: "
            f"`lehr data split {dataset.source} --out FOLDER`."
        )
    if not samples:
        raise InputError(f"{dataset.source}: the split '{split}' has no usable image. Run `lehr data check`.")
    if objects and not any(len(sample.classes) for sample in samples):
        raise InputError(f"{dataset.source}: {_without_objects(dataset, split, samples)}")
    return samples


def _without_objects(dataset: Dataset, split: str, samples: Sequence[Sample]) -> str:
    """Say why a split may have no object: where the label file of its first image without one was looked for."""
    paths = {sample.path for sample in samples}
    missing = [fault for fault in dataset.faults if fault.kind == "missing-label" and fault.path in paths]
    what = f"no image of the split '{split}' has an object"
    if missing:
        where = missing[0].message.partition(":")[0]
        what += f"; {len(missing)} of {len(samples)} have no label file. {missing[0].place}: {where}"
    return f"{what}. Run `lehr data check {dataset.source}`."

"""Reading a data set, whatever its layout: a table of formats, to which other packages add."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lehr.data.coco import find_coco, load_coco
from lehr.data.shapes import load_shapes
from lehr.data.voc import is_voc, load_voc
from lehr.data.yolo import images_in, load_yolo
from lehr.errors import InputError
from lehr.plugins import PluginTable
from lehr.sample import SPLITS, Dataset, Sample


@dataclass(frozen=True, slots=True)
class DataFormat:
    """A layout of data sets.

    Attributes:
        name: as `--data NAME:SOURCE` says it, where a source could be of several formats.
        matches: checks from a source, as `--data` names it, whether it looks like this format; must not raise.
        load: reads a source; the seed splits it where it comes without splits. Raises InputError, naming the file and
            the remedy, where there is nothing to be read.
    """

    name: str
    matches: Callable[[str], bool]
    load: Callable[[str, int], Dataset]


def _path(source: str) -> Path:
    return Path(source).expanduser()


def _yamls(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml")) + sorted(folder.glob("*.yml"))


def _load_yolo(source: str, seed: int) -> Dataset:
    path = _path(source)
    if not path.is_dir():
        return load_yolo(path)
    yamls = _yamls(path)
    if not yamls:
        raise InputError(f"{path}: holds no data YAML. Add one with 'train', 'val' and 'names'.")
    named = [each for each in yamls if each.stem in ("data", "dataset")]
    if len(yamls) > 1 and not named:
        raise InputError(f"{path}: holds several YAML files. Name the one to use: --data {yamls[0]}.")
    return load_yolo((named or yamls)[0])


def _load_coco(source: str, seed: int) -> Dataset:
    files = find_coco(source)
    if files is None:
        raise InputError(f"{source}: is no COCO JSON, and no folder with one for each split.")
    return load_coco(source, files)


FORMATS = PluginTable(
    "lehr.data_formats",
    DataFormat,
    (
        DataFormat("shapes", lambda source: source == "shapes", lambda source, seed: load_shapes()),
        DataFormat("yolo", lambda source: _path(source).suffix.lower() in (".yaml", ".yml"), _load_yolo),
        DataFormat("coco", lambda source: find_coco(source) is not None, _load_coco),
        DataFormat("yolo-folder", lambda source: bool(_yamls(_path(source))), _load_yolo),
        DataFormat(
            "voc",
            lambda source: _path(source).is_dir() and is_voc(_path(source)),
            lambda source, seed: load_voc(_path(source), seed),
        ),
    ),
)
"""In the order in which they are tried; those of other packages come last."""


def register_format(data_format: DataFormat) -> None:
    """Add a data format for this process; a package names it as an entry point `lehr.data_formats` instead.

    Raises:
        TypeError: it is no DataFormat.
        ValueError: another format has its name.
    """
    FORMATS.add(data_format)


def load_dataset(source: str, seed: int = 0) -> Dataset:
    """Read what `--data` names.

    Args:
        source: `shapes`, a data YAML, a folder that holds one, a VOC folder, a COCO JSON, a pair `train.json,val.json`
            or a folder of them; what a registered format takes; or FORMAT:SOURCE, by the name of a format.
        seed: splits a folder that comes without splits.

    Raises:
        InputError: there is no such thing, or its layout is none of these.
    """
    name, colon, rest = source.partition(":")
    if colon and not _path(source).exists():
        named = FORMATS.find(name)
        if named is not None:
            return named.load(rest, seed)
    for formats in (FORMATS.known, FORMATS.all):
        for each in formats():
            if each.matches(source):
                return each.load(source, seed)
    path = _path(source)
    if not path.exists():
        raise InputError(
            f"--data {source}: does not exist. Give a data YAML, a COCO JSON, a folder, or 'shapes' (generated)."
        )
    if path.is_dir() and images_in(path):
        raise InputError(f"{path}: holds images but neither XML labels, a COCO JSON nor a data YAML. Add one.")
    raise InputError(f"--data {source}: is no known layout. Give a data YAML, a COCO JSON, a VOC folder, or 'shapes'.")


def require_split(dataset: Dataset, split: str) -> Sequence[Sample]:
    """The samples of a split, which must be there and hold an object.

    Raises:
        InputError: the split is missing, empty, or has no labelled object.
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: must be one of {', '.join(SPLITS)}.")
    samples = dataset.splits.get(split)
    if samples is None:
        raise InputError(f"{dataset.source}: has no split '{split}'; it has {', '.join(dataset.splits)}.")
    if not samples:
        raise InputError(f"{dataset.source}: the split '{split}' has no usable image. Run `lehr data check`.")
    if not any(len(sample.classes) for sample in samples):
        raise InputError(f"{dataset.source}: no image of the split '{split}' has an object. Run `lehr data check`.")
    return samples


def with_class_order(
    samples: Sequence[Sample], names: tuple[str, ...], wanted: tuple[str, ...], source: str
) -> Sequence[Sample]:
    """Samples whose classes are numbered as somebody else numbers the same names.

    Args:
        samples: numbered by `names`.
        names: the data set's class names.
        wanted: the same names in another order.
        source: the data set, for messages.

    Raises:
        InputError: the names are not the same.
    """
    if names == wanted:
        return samples
    if set(names) != set(wanted):
        raise InputError(f"{source}: its classes are {', '.join(names)}, but the weights know {', '.join(wanted)}.")
    order = np.array([wanted.index(name) for name in names], np.int64)
    return [dataclasses.replace(sample, classes=order[sample.classes]) for sample in samples]

"""Reading a data set, whatever its layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lehr.data.coco import find_coco, load_coco
from lehr.data.shapes import load_shapes
from lehr.data.voc import is_voc, load_voc
from lehr.data.yolo import images_in, load_yolo
from lehr.errors import InputError
from lehr.sample import SPLITS, Dataset, Sample


def load_dataset(source: str, seed: int = 0) -> Dataset:
    """Reads what `--data` names.

    Args:
        source: `shapes`, a data YAML, a folder that holds one, a VOC folder, a COCO JSON, a pair `train.json,val.json`
            or a folder of them.
        seed: splits a folder that comes without splits.

    Raises:
        InputError: there is no such thing, or its layout is none of these.
    """
    if source == "shapes":
        return load_shapes()
    path = Path(source).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return load_yolo(path)
    coco = find_coco(source)
    if coco is not None:
        return load_coco(source, coco)
    if not path.exists():
        raise InputError(
            f"--data {source}: does not exist. Give a data YAML, a COCO JSON, a folder, or 'shapes' (generated)."
        )
    if path.is_dir():
        yamls = sorted(path.glob("*.yaml")) + sorted(path.glob("*.yml"))
        if yamls:
            named = [each for each in yamls if each.stem in ("data", "dataset")]
            if len(yamls) > 1 and not named:
                raise InputError(f"{path}: holds several YAML files. Name the one to use: --data {yamls[0]}.")
            return load_yolo((named or yamls)[0])
        if is_voc(path):
            return load_voc(path, seed)
        if images_in(path):
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

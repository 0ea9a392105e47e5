"""COCO layout: one JSON a split, with images, categories and boxes as x, y, width, height in pixels."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lehr.data.formats.data_format import DataFormat
from lehr.data.images import ImageFault, probe_image
from lehr.data.objects import checked_objects
from lehr.errors import InputError
from lehr.sample import SPLITS, Dataset, Fault, Sample, Severity

Records = list[dict[str, Any]]


def find_coco(source: str) -> dict[str, Path] | None:
    """The JSON of each split that a source names: a JSON, a pair `train.json,val.json`, or a folder; else None.

    Of a single JSON with a split's name in its own, the files of the other splits beside it belong to the data set.
    In a folder, `instances_train*.json` or `*train*.json` are looked for, also in its `annotations`; and Roboflow's
    `train/_annotations.coco.json`.
    """
    if source.endswith(".json") and "," in source:
        return dict(zip(SPLITS, (Path(part.strip()) for part in source.split(",")), strict=False))
    path = Path(source)
    if source.endswith(".json"):
        return _siblings(path)
    if not path.is_dir():
        return None
    found = {}
    for split in SPLITS:
        folders = (split, "valid") if split == "val" else (split,)
        patterns = [f"{where}*{split}*.json" for where in ("", "annotations/")]
        patterns += [f"{folder}/_annotations.coco.json" for folder in folders]
        matches = sorted(match for pattern in patterns for match in path.glob(pattern))
        instances = [match for match in matches if match.name.startswith("instances_")]
        if matches:
            found[split] = (instances or matches)[0]
    return found or None


def _siblings(path: Path) -> dict[str, Path]:
    named = next((split for split in SPLITS if split in path.stem), None)
    if named is None:
        return {"train": path}
    others = {split: path.with_name(path.name.replace(named, split)) for split in SPLITS}
    return {split: other for split, other in others.items() if split == named or other.is_file()}


def load_coco(source: str, files: dict[str, Path]) -> Dataset:
    """Read the JSON files of a data set.

    Categories are numbered by their id; all files must name the same. Crowd regions are left out, aloud.

    Args:
        source: what was asked for, kept in the result.
        files: the JSON of each split.

    Raises:
        InputError: a file is missing, is no COCO JSON, or names other categories than the first.
    """
    names: tuple[str, ...] | None = None
    splits: dict[str, Sequence[Sample]] = {}
    faults: list[Fault] = []
    for split, path in files.items():
        content = _read_json(path)
        categories = sorted(content["categories"], key=lambda category: int(category["id"]))
        own_names = tuple(str(category["name"]) for category in categories)
        if names is not None and own_names != names:
            raise InputError(f"{path}: its categories differ from those of {next(iter(files.values()))}.")
        names = own_names
        splits[split], found = _read_split(path, split, content)
        faults += found
    if not names:
        raise InputError(f"{source}: names no categories, so there is nothing to learn.")
    return Dataset(source, names, splits, tuple(faults))


def _read_json(path: Path) -> dict[str, Records]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: the COCO JSON cannot be read ({error.strerror}). Check --data.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: is not valid JSON ({error.msg}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text, so not a COCO JSON.") from None
    for key, fields in (("images", ("id", "file_name")), ("categories", ("id", "name")), ("annotations", ())):
        records = content.get(key, [] if key == "annotations" else None) if isinstance(content, dict) else None
        if not isinstance(records, list) or not all(
            isinstance(r, dict) and all(f in r for f in fields) for r in records
        ):
            needed = f" with {' and '.join(fields)}" if fields else ""
            raise InputError(f"{path}: must hold a list '{key}'{needed} to be a COCO JSON.")
        content[key] = records
    return dict(content)


def _read_split(path: Path, split: str, content: dict[str, Records]) -> tuple[list[Sample], list[Fault]]:
    ids = sorted(int(category["id"]) for category in content["categories"])
    class_of = {category: index for index, category in enumerate(ids)}
    faults: list[Fault] = []
    of_image: dict[Any, Records] = defaultdict(list)
    known = {image["id"] for image in content["images"]}
    for annotation in content["annotations"]:
        fault = _annotation_fault(annotation, class_of, known, path)
        if fault is None:
            of_image[annotation["image_id"]].append(annotation)
        else:
            faults.append(fault)
    samples = []
    paths = [_image_path(path, split, str(image["file_name"])) for image in content["images"]]
    with ThreadPoolExecutor(8) as pool:
        sizes = pool.map(_probe, paths)
        for image, image_path, size in zip(content["images"], paths, sizes, strict=True):
            if isinstance(size, Fault):
                faults.append(size)
                continue
            sample, found = _sample(image_path, size, of_image[image["id"]], class_of, path)
            samples.append(sample)
            faults += found
    return samples, faults


def _probe(path: Path) -> tuple[int, int] | Fault:
    try:
        return probe_image(path)
    except ImageFault as error:
        return Fault(error.kind, error.path, error.reason)


def _annotation_fault(
    annotation: dict[str, Any], class_of: dict[int, int], known: set[Any], path: Path
) -> Fault | None:
    subject = f"annotation {annotation.get('id', '?')}"
    box = annotation.get("bbox")
    if annotation.get("iscrowd"):
        return Fault("crowd", path, f"{subject} is a crowd region; it is left out", severity=Severity.WARNING)
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)):
        return Fault("malformed-line", path, f"{subject} has no 'bbox' of four numbers; it is skipped")
    if annotation.get("category_id") not in class_of:
        return Fault("class-out-of-range", path, f"{subject} has the unknown category {annotation.get('category_id')}")
    if annotation.get("image_id") not in known:
        return Fault("malformed-line", path, f"{subject} belongs to no image; it is skipped")
    return None


def _sample(
    image_path: Path, size: tuple[int, int], annotations: Records, class_of: dict[int, int], path: Path
) -> tuple[Sample, list[Fault]]:
    xywh = np.array([annotation["bbox"] for annotation in annotations], np.float64).reshape(-1, 4)
    boxes, classes, faults = checked_objects(
        np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), 1),
        np.array([class_of[annotation["category_id"]] for annotation in annotations], np.int64),
        width=size[0],
        height=size[1],
        path=path,
        lines=[None] * len(annotations),
    )
    named = [Fault(f.kind, f.path, f"image {image_path.name}: {f.message}", f.line, f.severity) for f in faults]
    return Sample(image_path, *size, boxes, classes, path), named


def _image_path(json_path: Path, split: str, name: str) -> Path:
    """Path of an image: beside the JSON, or in the usual folders around it."""
    folder, above = json_path.parent, json_path.parent.parent
    year = json_path.stem.removeprefix("instances_")
    subfolders = ("", "images", split, f"images/{split}", year, f"images/{year}", "JPEGImages")
    candidates = [base / sub / name for base in (folder, above) for sub in subfolders]
    return next((candidate for candidate in candidates if candidate.is_file()), candidates[0])


def _recognise(source: str) -> list[str]:
    files = find_coco(source)
    return [] if files is None else [f"it holds {path.name}" for path in files.values()]


def _read(source: str, seed: int) -> Dataset:
    files = find_coco(source)
    if files is None:
        raise InputError(f"{source}: is no COCO JSON, and no folder with one for each split.")
    return load_coco(source, files)


COCO = DataFormat("coco", _recognise, _read)

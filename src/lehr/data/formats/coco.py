"""COCO layout: one JSON a split, with images, categories and boxes as x, y, width, height in pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.find_images import is_hidden
from lehr.data.formats.coco_boxes import CROWD, OBJECT, annotation_name, read_boxes
from lehr.data.formats.coco_categories import number_classes
from lehr.data.formats.coco_files import CocoFiles, find_coco, other_json_in
from lehr.data.formats.coco_ids import id_text, match_ids, plain_text, shown
from lehr.data.formats.coco_images import find_images, name_of
from lehr.data.formats.coco_json import CocoFile, read_coco_json
from lehr.data.formats.coco_objects import samples_of
from lehr.data.formats.coco_sizes import Sizes, place_boxes
from lehr.data.formats.data_format import DataFormat
from lehr.data.images.kinds import read_suffixes, suffix_of
from lehr.data.probing import probe_with_header
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.sample import Dataset, Fault, Sample, Severity

TOGETHER = 64
"""Images that a thread reads the headers of in one go."""
MAX_SIDE = 1e7
"""Pixels above which a stated side is none."""
SHOWN = 20
"""Faults of one cause that are given one by one; more are given as one."""


def load_coco(source: str, files: Mapping[str, Path], complete: bool = True) -> Dataset:
    """Read the JSON files of a data set.

    Classes are numbered by the ids of the first file's categories; those of the others are matched by name. Crowd
    regions are not trained on, and an evaluation ignores them.

    Args:
        source: what was asked for, kept in the result.
        files: the JSON of each split.
        complete: whether these are all files of the data set, so that images which none lists are worth a note.

    Raises:
        InputError: a file is missing or is not COCO JSON of boxes; or what it says can be read in several ways.
    """
    parsed = {split: read_coco_json(path) for split, path in files.items()}
    classes = number_classes(parsed)
    splits: dict[str, Sequence[Sample]] = {}
    faults = list(classes.faults)
    unlisted: dict[Path, frozenset[str]] = {}
    for split in list(parsed):
        splits[split], found, names = _read_split(split, parsed.pop(split), classes.of_annotation.pop(split))
        faults += found
        unlisted |= {folder: own & unlisted.get(folder, own) for folder, own in names.items()}
    faults += _unlisted(unlisted) if complete else []
    return Dataset(source, classes.names, splits, tuple(faults))


def _unlisted(names: Mapping[Path, frozenset[str]]) -> Iterator[Fault]:
    """Say which folders hold images that no JSON lists."""
    suffixes = read_suffixes()
    for folder, own in names.items():
        images = sorted(name for name in own if suffix_of(name) in suffixes and not is_hidden(name))
        if images:
            message = (
                f"holds {counted(len(images), 'image')} in no JSON, not used ({images[0]}). To have them "
                "as background, list them without annotations"
            )
            yield Fault("unused-image", folder, message, severity=Severity.NOTE)


def _read_split(
    split: str, file: CocoFile, classes: NDArray[np.int64]
) -> tuple[list[Sample], list[Fault], dict[Path, frozenset[str]]]:
    entries = _entries_of(file)
    faults = entries.faults
    of = entries.of_annotation
    _require_some(file, entries)
    stated = np.array([_stated_size(record) for record in entries.records], np.float64).reshape(-1, 2)
    boxes = read_boxes(file, np.concatenate((stated, np.full((1, 2), np.nan)))[of])
    faults += boxes.faults
    found = find_images(file.path, split, [plain_text(name_of(record)) for record in entries.records])
    faults += found.faults
    paths, first = _merged(file, entries, found.paths, faults)
    left_out = entries.refused | found.ambiguous
    sizes, problems = _probe(paths, stated, left_out)
    faults += problems
    placed = place_boxes(file.path, paths, sizes, boxes.xyxy, of)
    faults += placed.faults
    faults += _references(file, classes, of, boxes.usable)
    bad = placed.refused | np.isnan(sizes.stored[:, 0])
    bad[list(left_out)] = True
    np.logical_or.at(bad, first, bad.copy())  # an image is skipped with all of its entries
    used = boxes.usable & (classes >= 0) & (of >= 0)
    faults += _crowds(file, boxes.use[used])
    own = first[of]
    used &= ~bad[own]
    kept = np.flatnonzero(~bad & (first == np.arange(len(first))))
    samples, found_in = samples_of(
        file.path,
        [paths[i] for i in kept.tolist()],
        sizes.shown[kept],
        _renumbered(own[used], kept, len(paths)),
        placed.xyxy[used],
        classes[used],
        boxes.use[used],
    )
    return samples, [*faults, *found_in], found.unlisted


def _renumbered(images: NDArray[np.int64], kept: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    number = np.full(count, -1, np.int64)
    number[kept] = np.arange(len(kept))
    return number[images]


@dataclass(slots=True)
class _Entries:
    """Entries of images in a JSON.

    Attributes:
        records: as given.
        of_annotation: int64 (n,), the entry of each annotation; -1 if there is none.
        refused: positions of entries whose annotations are ambiguous.
        faults: what is wrong with ids and references.
    """

    records: list[dict[str, Any]]
    of_annotation: NDArray[np.int64]
    refused: set[int]
    faults: list[Fault]


def _entries_of(file: CocoFile) -> _Entries:
    """Match annotations with images by id."""
    faults: list[Fault] = []
    refused: set[int] = set()
    by_id: dict[str, list[int]] = defaultdict(list)
    for position, record in enumerate(file.images):
        key = id_text(record.get("id"))
        if key is None or name_of(record) is None:
            what = "no usable 'id'" if key is None else "no 'file_name'"
            raise InputError(
                f"{file.path}: must hold a list 'images', each with id and file_name, to be a COCO JSON; image "
                f"{position + 1} has {what} ({shown(record)})."
            )
        by_id[key].append(position)
    matches = match_ids(file.annotations.image_ids, [record["id"] for record in file.images])
    if matches.by_text:
        message = (
            f"{matches.by_text} annotations refer to their image as text, or in a list, where its id is a number, or "
            "the other way round; they are matched as text"
        )
        faults.append(Fault("id-as-text", file.path, message, severity=Severity.NOTE))
    referred = set(np.unique(matches.found).tolist())
    for key, positions in by_id.items():
        if len(positions) == 1 or referred.isdisjoint(positions):
            continue
        names = dict.fromkeys(name_of(file.images[position]) for position in positions)
        if len(names) > 1:
            refused |= set(positions)
            message = (
                f"the id {shown(key)} stands for the images {', '.join(map(shown, names))}, so their annotations "
                "cannot be told apart; they are skipped. Give each a unique id, or export again"
            )
            faults.append(Fault("ambiguous-image", file.path, message))
    twice = _repeated(file.annotations.ids)
    if twice:
        message = f"{twice} annotations have the id of another one; all of them are used"
        faults.append(Fault("duplicate-id", file.path, message, severity=Severity.NOTE))
    if not len(file.annotations) and file.images:
        message = f"holds no annotations: all {len(file.images)} images are taken as background"
        faults.append(Fault("missing-label", file.path, message, severity=Severity.WARNING))
    return _Entries(file.images, matches.found, refused, faults)


def _repeated(ids: list[Any]) -> int:
    """Count ids that another one had before."""
    if {*map(type, ids)} <= {int}:
        return len(ids) - len(set(ids))
    known = [each for each in map(id_text, ids) if each is not None]
    return len(known) - len(set(known))


def _require_some(file: CocoFile, entries: _Entries) -> None:
    if not entries.records:
        raise InputError(f"{file.path}: holds no images. Export it again.")
    if len(entries.of_annotation) and (entries.of_annotation < 0).all():
        given = file.annotations.image_ids[0]
        raise InputError(
            f"{file.path}: none of its {len(entries.of_annotation)} annotations belongs to one of its images: one has "
            f"image_id {shown(given)}, the first image id {shown(entries.records[0]['id'])}. Export it again."
        )


def _stated_size(record: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height as the JSON states them; NaN if it does not."""
    try:
        width, height = float(record["width"]), float(record["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return np.nan, np.nan
    return (width, height) if 0 < width < MAX_SIDE and 0 < height < MAX_SIDE else (np.nan, np.nan)


def _merged(
    file: CocoFile, entries: _Entries, paths: list[Path], faults: list[Fault]
) -> tuple[list[Path], NDArray[np.int64]]:
    """Find entries of one file; returns paths, and the first entry of each, int64 (m,)."""
    place: dict[Path, int] = {}
    first = np.array([place.setdefault(path, position) for position, path in enumerate(paths)], np.int64)
    again = np.flatnonzero(first != np.arange(len(first)))
    if len(again):
        name = paths[int(again[0])].name
        message = (
            f"{counted(len(again), 'image is', 'images are')} listed more than once ({name}); the annotations "
            f"of all entries of one are "
            "merged. If they are different images, their files need different names"
        )
        faults.append(Fault("merged-image", file.path, message, severity=Severity.WARNING))
    return paths, first


def _probe(paths: list[Path], stated: NDArray[np.float64], left_out: set[int]) -> tuple[Sizes, list[Fault]]:
    """Read the headers of all images, each file once."""
    wanted = list(dict.fromkeys(path for position, path in enumerate(paths) if position not in left_out))
    faults: list[Fault] = []
    headers: dict[Path, tuple[float, float, int]] = {}
    with ThreadPoolExecutor(8) as pool:
        groups = [wanted[start : start + TOGETHER] for start in range(0, len(wanted), TOGETHER)]
        probed = pool.map(lambda group: [probe_with_header(path) for path in group], groups)
        for path, (header, found) in zip(wanted, chain.from_iterable(probed), strict=True):
            faults += found
            if header is not None:
                headers[path] = header.width, header.height, header.orientation
    nothing = (np.nan, np.nan, 1)
    table = np.array([headers.get(path, nothing) for path in paths], np.float64).reshape(-1, 3)
    return Sizes(stated, table[:, :2], table[:, 2].astype(np.int64)), faults


def _references(
    file: CocoFile, classes: NDArray[np.int64], of: NDArray[np.int64], usable: NDArray[np.bool_]
) -> list[Fault]:
    """Say which annotations refer to a category or an image that the JSON does not hold."""
    annotations = file.annotations
    lost = np.flatnonzero(usable & (of < 0)).tolist()
    messages = [
        f"{annotation_name(annotations, i)} belongs to no image ({shown(annotations.image_ids[i])}); it is skipped"
        for i in lost[:SHOWN]
    ]
    if len(lost) > SHOWN:
        messages = [f"{len(lost)} annotations belong to no image of the JSON; they are skipped. {messages[0]}, for one"]
    faults = [Fault("malformed-line", file.path, message) for message in messages]
    for i in np.flatnonzero(usable & (of >= 0) & (classes < 0)).tolist():
        message = f"{annotation_name(annotations, i)} has the unknown category {shown(annotations.category_ids[i])}"
        faults.append(Fault("class-out-of-range", file.path, message))
    return faults


def _crowds(file: CocoFile, use: NDArray[np.int8]) -> list[Fault]:
    faults: list[Fault] = []
    crowds, ignored = int((use == CROWD).sum()), int(((use != CROWD) & (use != OBJECT)).sum())
    for count, what in ((crowds, "crowd regions ('iscrowd')"), (ignored, "annotations to be ignored ('ignore')")):
        if count:
            message = f"{count} {what}: they are not trained on, and an evaluation ignores what is found there"
            faults.append(Fault("crowd", file.path, message, severity=Severity.NOTE))
    return faults


def _found(source: str) -> CocoFiles | None:
    """Find the files of a source; None if another format says more of it."""
    found = find_coco(source)
    folder = Path(source).expanduser()
    unclear = found is not None and (found.problem is not None or not found.with_splits)
    if unclear and folder.is_dir() and any(folder.glob("*.y*ml")):
        return None
    return found


def _recognise(source: str) -> list[str]:
    found = _found(source)
    return [] if found is None else [f"it holds {path.name}" for path in found.files.values()]


def _misses(source: str) -> str | None:
    folder = Path(source).expanduser()
    return other_json_in(folder) if folder.is_dir() else None


def _read(source: str, seed: int) -> Dataset:
    found = find_coco(source)
    if found is None:
        missing = _misses(source)
        raise InputError(f"{source}: is not COCO JSON, and no folder with one for each split. {missing or ''}".rstrip())
    if found.problem is not None:
        raise InputError(found.problem)
    dataset = load_coco(source, found.files, complete=len(found.files) > 1 or not found.with_splits)
    notes = [*found.faults]
    if not found.with_splits:
        (path,) = found.files.values()
        message = (
            "holds all images, and nothing says which validate: they are all in the split 'train'. Split them: lehr "
            f"data split {source} --out FOLDER"
        )
        notes.append(Fault("no-splits", path, message, severity=Severity.NOTE))
    return Dataset(dataset.source, dataset.names, dataset.splits, (*dataset.faults, *notes))


COCO = DataFormat("coco", _recognise, _read, _misses)

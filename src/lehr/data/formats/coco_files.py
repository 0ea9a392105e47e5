"""Finding the JSON files of a COCO data set in the layouts that tools write."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from lehr.data.formats.coco_json import describe_other_json
from lehr.data.limits import OTHER_JSON_BYTES
from lehr.runtime.reading import open_file, read_file
from lehr.sample import SPLITS, Fault, Severity

JSON = re.compile(r"(?i)\.json(\.gz)?$")
SPLIT_FOLDERS = {"train": ("train", "training"), "val": ("valid", "val", "validation"), "test": ("test", "testing")}
HEAD = 65536
"""Bytes at either end of a JSON in which its first and last lists are looked for."""
MANY = 50
"""JSON files in a folder above which they are taken for one an image, but for those named after a split."""
NO_BOXES = re.compile(r"(?i)^(captions|panoptic|stuff|image_info|sem_seg)_")
CLASSES_ALONE = "notes.json"
"""Label Studio's list of classes next to label files of YOLO layout."""
COCO_LISTS = re.compile(rb'"(images|annotations|categories)"\s*:\s*(\[|null)')
WORDS = {
    "train": re.compile(r"(?i)^(train|training|trainval)$|train"),
    "val": re.compile(r"(?i)^(val|valid|validation|vals|minival|eval|evaluation)$|^(val|valid)(set|data|split)"),
    "test": re.compile(r"(?i)^(test|testing|tests)$|^test(set|data|dev|split)"),
}


@dataclass(slots=True)
class CocoFiles:
    """The JSON files of a data set.

    Attributes:
        files: by split.
        problem: why they cannot be read, if it is not clear which are meant.
        with_splits: whether names say the splits; False for a single JSON of everything.
        faults: which were chosen, where there were others.
    """

    files: dict[str, Path]
    problem: str | None = None
    with_splits: bool = True
    faults: list[Fault] = field(default_factory=list)


def find_coco(source: str) -> CocoFiles | None:
    """Find the JSON of each split that a source names: a JSON, a pair `train.json,val.json`, or a folder; else None.

    Of a single JSON with a split's name in its own, or in its folder's as Roboflow has it, the files of the other
    splits belong to the data set. In a folder, JSON files are looked for in it, in its `annotations`, and in folders
    named after the splits.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if not JSON.search(source):
        return None
    parts = [part.strip() for part in source.split(",")]
    if len(parts) > 1 and not path.exists() and all(JSON.search(part) for part in parts):
        return _listed(source, [Path(part).expanduser() for part in parts])
    files = _siblings(path)
    return CocoFiles(files, with_splits=len(files) > 1 or split_of(path) is not None)


def split_of(path: Path) -> str | None:
    """Return the split that a JSON's name says, or that of its folder; None if neither says one."""
    return _split_in(JSON.sub("", path.name)) or _split_of_folder(path.parent)


def _split_of_folder(folder: Path) -> str | None:
    return next((split for split, names in SPLIT_FOLDERS.items() if folder.name.lower() in names), None)


def _split_in(stem: str) -> str | None:
    """Return the split that a name says: by the last of its words that is one."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+", stem)
    said = [next((split for split, pattern in WORDS.items() if pattern.search(word)), None) for word in words]
    if ("train", "val") in pairwise(said):
        return "train"
    return next((split for split in reversed(said) if split is not None), None)


def _listed(source: str, paths: list[Path]) -> CocoFiles:
    if len(paths) > len(SPLITS):
        return CocoFiles({}, f"{source}: names {len(paths)} JSON files. Give those of train, val and optionally test.")
    result = CocoFiles(dict(zip(SPLITS, paths, strict=False)))
    for split, path in result.files.items():
        named = _split_in(JSON.sub("", path.name))
        if named not in (None, split) and named in result.files:
            message = f"is taken for {split}, by its place in {source}, though its name says {named}"
            result.faults.append(Fault("two-formats", path, message, severity=Severity.WARNING))
    return result


def _siblings(path: Path) -> dict[str, Path]:
    stem = JSON.sub("", path.name)
    named = _split_in(stem)
    if named is not None:
        files = {named: path}
        for word in re.findall(r"[^\W\d_]+", stem):
            if _split_in(word) != named:
                continue
            for split in SPLITS:
                likely = [_cased(name, word) for name in (split, *SPLIT_FOLDERS[split])]
                _add_first(files, split, [path.with_name(path.name.replace(word, name)) for name in likely])
        return {split: files[split] for split in SPLITS if split in files}
    folder_split = _split_of_folder(path.parent)
    if folder_split is None:
        return {"train": path}
    files = {folder_split: path}
    for split, names in SPLIT_FOLDERS.items():
        _add_first(files, split, [path.parent.parent / _cased(name, path.parent.name) / path.name for name in names])
    return {split: files[split] for split in SPLITS if split in files}


def _add_first(files: dict[str, Path], split: str, paths: list[Path]) -> None:
    found = next((path for path in paths if path.is_file()), None)
    if found is not None:
        files.setdefault(split, found)


def _cased(name: str, like: str) -> str:
    return name.upper() if like.isupper() else name.capitalize() if like[:1].isupper() else name


def _in_folder(folder: Path) -> CocoFiles | None:
    """Choose among the JSON files of a folder."""
    folders = [folder, *(folder / name for name in ("annotations", "Annotations", "annotation", "labels", "json"))]
    candidates = list(dict.fromkeys(path for each in folders for path in _candidates(each)))
    chosen = _by_split(folder, candidates)
    if chosen is None or (chosen.problem is None and not chosen.with_splits):
        inside = [folder / name for names in SPLIT_FOLDERS.values() for name in (*names, *map(str.capitalize, names))]
        candidates_inside = list(dict.fromkeys(path for each in inside for path in _candidates(each)))
        return _by_split(folder, candidates_inside) or chosen
    return chosen


def _by_split(folder: Path, candidates: list[Path]) -> CocoFiles | None:
    instances = [path for path in candidates if path.name.lower().startswith("instances_")]
    if instances:
        others = [path for path in candidates if path.name.lower().startswith("person_keypoints_")]
        candidates = [path for path in candidates if path not in others]
    by_split: dict[str | None, list[Path]] = {}
    for path in candidates:
        by_split.setdefault(split_of(path) if path.parent != folder else _split_in(JSON.sub("", path.name)), []).append(
            path
        )
    unnamed = by_split.pop(None, [])
    if not by_split:
        if len(unnamed) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in unnamed[:5])
            problem = (
                f"{folder}: holds {len(unnamed)} JSON files, and no name says which split each is: {names}. "
                "Name them: --data TRAIN.json,VAL.json"
            )
            return CocoFiles({"train": unnamed[0]}, problem)
        return CocoFiles({"train": unnamed[0]}, with_splits=False) if unnamed else None
    result = CocoFiles({})
    left = unnamed
    for split in SPLITS:
        paths = by_split.get(split, [])
        preferred = [path for path in paths if path in instances] or paths
        if len(preferred) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in preferred[:5])
            result.problem = (
                f"{folder}: has {len(preferred)} JSON files for the split '{split}': {names}. Name those to be used: "
                "--data TRAIN.json,VAL.json"
            )
        if preferred:
            result.files[split] = preferred[0]
            left += [path for path in paths if path not in preferred]
    if left:
        names = ", ".join(str(path.relative_to(folder)) for path in left[:5])
        read = ", ".join(str(path.relative_to(folder)) for path in result.files.values())
        message = f"of its JSON files {read} are read, and not {names}. Others can be named: --data TRAIN.json,VAL.json"
        result.faults.append(Fault("two-formats", folder, message, severity=Severity.NOTE))
    return result


def _candidates(folder: Path) -> Iterable[Path]:
    """JSON files of a folder that may be COCO JSON of boxes."""
    try:
        with os.scandir(folder) as entries:  # may be a folder of all images
            names = sorted(entry.name for entry in entries if JSON.search(entry.name) and entry.name[0] != ".")
    except OSError:
        return []
    paths = [folder / name for name in names]
    if len(paths) > MANY:
        paths = [path for path in paths if _split_in(JSON.sub("", path.name)) or "coco" in path.name.lower()][:MANY]
    if any(path.name.lower().startswith("instances_") for path in paths):
        paths = [path for path in paths if not NO_BOXES.match(path.name)]
    return [path for path in paths if not path.is_dir() and path.name != CLASSES_ALONE and looks_like_coco(path)]


def looks_like_coco(path: Path) -> bool:
    """Return whether the ends of a file look like those of a COCO JSON, or of one that is damaged."""
    try:
        compressed = path.name.lower().endswith(".gz")
        tail = b""
        with open_file(path) as raw:
            if compressed:
                with gzip.GzipFile(fileobj=raw) as file:
                    head = file.read(HEAD)
            else:
                head = raw.read(HEAD) or b""
                raw.seek(max(len(head), os.fstat(raw.fileno()).st_size - HEAD))
                tail = raw.read(HEAD) or b""
    except FileNotFoundError:  # a link whose target is missing
        return False
    except (OSError, EOFError, zlib.error):
        return split_of(path) is not None  # so that it gets its message
    text = head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")
    if not text.startswith(b"{"):
        return not text
    plain = (head + tail).replace(b"\0", b"")  # UTF-16
    if COCO_LISTS.search(plain) and not re.search(rb'"(shapes|_via_img_metadata)"\s*:', plain):
        return True
    return len(head) < HEAD and not compressed and not _parses(plain)


def _parses(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def other_json_in(folder: Path) -> str | None:
    """Say which other format the JSON files of a folder are of; None if there are none, or of an unknown one."""
    folders = [folder, *(folder / name for name in ("annotations", "Annotations", "labels", "train", "valid", "val"))]
    for each in folders:
        try:
            paths = sorted(path for path in each.iterdir() if JSON.search(path.name))[:3]
        except OSError:
            continue
        for path in paths:
            try:
                content = json.loads(read_file(path, OTHER_JSON_BYTES))
            except (OSError, ValueError, RecursionError):
                continue
            described = describe_other_json(content)
            if described is not None:
                return f"{path.relative_to(folder)} {described}"
    return None

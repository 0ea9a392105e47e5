"""YOLO layout: a data YAML, image folders or lists, and a text file of normalized boxes per image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lehr.data.find_images import scan_images
from lehr.data.folder_index import FolderIndex, cleaned, is_there
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.yolo_labels import read_splits
from lehr.data.formats.yolo_yaml import DataYaml, Entry, looks_like_data_yaml, read_data_yaml
from lehr.data.image_list import images_listed
from lehr.data.images import is_image
from lehr.data.labels.columns import Declared
from lehr.data.places import Place, Places, root_folder
from lehr.errors import InputError
from lehr.sample import Dataset, Fault, Severity


@dataclass(slots=True)
class SplitImages:
    """The images of a split.

    Attributes:
        images: the files, in order, each once.
        absent: why there are none; empty if there are.
        line: of the entry that it was.
    """

    images: list[Path] = field(default_factory=list)
    absent: str = ""
    line: int = 1


def load_yolo(path: Path) -> Dataset:
    """Read a data set by its data YAML.

    Args:
        path: the YAML, with `train` and `val` (`test`), each a folder, a list of images, an image, a pattern or a list
            of these; `lehr.data.places` says what they are relative to. `names` is a list or a map from number to name.

    Raises:
        InputError: the YAML is missing or malformed, disagrees with itself, or names something ambiguous.
    """
    given = read_data_yaml(path)
    index = FolderIndex()
    places = _places(given, index)
    faults = given.faults
    images: dict[str, Sequence[Path]] = {}
    absent: dict[str, str] = {}
    for split, entries in given.splits.items():
        found = find_images_of(path, split, entries, places, faults)
        if found.absent:
            absent[split] = found.absent
        if found.images or not found.absent:
            images[split] = found.images
    declared = Declared(given.names, given.keypoints, given.task)
    splits, seen = read_splits(images, declared, key=str(path.absolute()))
    return Dataset(str(path), given.names, splits, (*faults, *seen), absent)


def _places(given: DataYaml, index: FolderIndex) -> Places:
    """The places in which a data YAML's entries are looked for, in order."""
    own = Place(given.path.parent, f"the folder of {given.path.name}")
    working = Place(Path(), "the working folder")
    if given.root is None:
        return Places([own, working], index)
    where = f"{given.path}:{given.root.line}"
    entries = [entry.text for split in ("train", "val") for entry in given.splits.get(split, [])[:3]]

    def exists_in(folder: Path) -> bool:
        return any(is_there(folder / each) for text in entries for each in (text, cleaned(text)))

    root, how = root_folder(given.root.text, where, own, exists_in, index)
    if root is None:
        places = ", ".join(str(each.folder.resolve()) for each in Places([own, working]).places)
        raise InputError(
            f"{where}: 'path' is '{given.root.shown}', which does not exist{_foreign(given.root.text)} (looked for in "
            f"{places}). Correct it, or remove the line if the images are next to the data YAML."
        )
    if how:
        message = f"'path' is '{given.root.text}': {how}{_foreign(given.root.text)}"
        given.note("other-place", message, given.root.line, Severity.WARNING)
    return Places([Place(root, "the folder that 'path' names"), own, working], index)


def _foreign(text: str) -> str:
    """Say that a path is one of Windows, where it is."""
    return ", a path of Windows" if os.sep == "/" and ("\\" in text or text[1:2] == ":") else ""


def find_images_of(
    path: Path, split: str, entries: Sequence[Entry], places: Places, faults: list[Fault]
) -> SplitImages:
    """Find the images of a split's entries.

    Args:
        path: the file that names them.
        split: the split, for messages.
        entries: folders, lists, images and patterns.
        places: where to look for them.
        faults: gets what was found otherwise than as written.

    Raises:
        InputError: an entry is ambiguous, or holds no images.
    """
    found = SplitImages(line=entries[0].line)
    reasons = []
    for entry in entries:
        images, reason = _images_of(path, split, entry, places, faults)
        found.images += images
        reasons += [reason] if reason else []
    found.images = list({str(image): image for image in found.images}.values())  # paths are slow to hash
    if reasons:
        found.absent = "; ".join(reasons[:3])
        severity = Severity.ERROR if found.images or split != "test" else Severity.WARNING
        kind = "absent-split" if not found.images else "absent-entry"
        for reason in reasons:
            text = reason.removeprefix(f"{path}:{found.line}: ")
            faults.append(Fault(kind, path, text, found.line, severity))
    return found


def _images_of(path: Path, split: str, entry: Entry, places: Places, faults: list[Fault]) -> tuple[list[Path], str]:
    """The images of an entry, and why there are none."""
    where = f"{path}:{entry.line}"
    if "://" in entry.text and not entry.text.lower().startswith("file://"):
        return [], f"{where}: '{split}' is a web address. Download it, and name its folder."
    found = places.find(entry.text, where)
    if found is None:
        looked = places.places[0].folder / entry.shown
        return [], f"{where}: '{split}': '{looked}' does not exist{_foreign(entry.text)}. Correct it, or 'path'."
    if found.how:
        message = f"'{split}' is '{entry.text}': it is read {found.how}"
        severity = Severity.WARNING if found.moved else Severity.NOTE
        faults.append(Fault("other-place", path, message, entry.line, severity))
    images: list[Path] = []
    lines: list[Fault] = []
    for each in found.paths:
        if each.is_dir():
            images += _images_in(each, path, split, entry, faults)
        elif is_image(each):
            images.append(each)
        elif len(found.paths) == 1:
            listed, lines = images_listed(each, [place.folder for place in places.places[:-1]], places.index)
            images += listed
            faults += lines
    return images, "" if images else f"{where}: {_why_empty(split, found.paths, lines)}"


def _images_in(folder: Path, path: Path, split: str, entry: Entry, faults: list[Fault]) -> list[Path]:
    """The images in a folder, or, for a folder of label files, those in the folder next to it."""
    scan = scan_images(folder)
    faults += scan.faults
    if scan.images:
        return scan.images
    parts = list(folder.parts)
    at = next((i for i in range(len(parts) - 1, -1, -1) if parts[i].lower() == "labels"), None)
    beside = folder if at is None else Path(*parts[:at], "images", *parts[at + 1 :])
    if at is None or not beside.is_dir():
        return []
    scan = scan_images(beside)
    if scan.images:
        faults += scan.faults
        message = f"'{split}' is '{entry.text}', which holds label files: the images next to it, in {beside}, are used"
        faults.append(Fault("other-place", path, message, entry.line, Severity.WARNING))
    return scan.images


def _why_empty(split: str, paths: Sequence[Path], lines: Sequence[Fault]) -> str:
    """Say why an entry that exists gives no image."""
    first = paths[0]
    if not first.is_dir():
        first_fault = next((fault for fault in lines if fault.severity is Severity.ERROR), None)
        example = f". Line {first_fault.line} {first_fault.message}" if first_fault is not None else ""
        return f"'{split}': {first} names no image that is there{example}"
    unread = scan_images(first).faults
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        why = f"{unread[0].path.name}{more} {unread[0].message.rstrip('.')}"
        return f"'{split}': {first} holds no image that is read: {why}"
    suffixes = [name.suffix.lower() for name in first.rglob("*") if name.is_file()]
    labels = suffixes.count(".txt")
    if labels:
        return f"'{split}': {first} holds {labels} label files (.txt) but no image. Name the folder of the images"
    others = ", ".join(sorted({suffix for suffix in suffixes if suffix})[:5])
    return f"'{split}': {first} holds no image" + (f", only {others} files" if others else "")


def yamls_in(folder: Path) -> list[Path]:
    """The YAML files of a folder, by name."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in (".yaml", ".yml") and path.name[0] != "."]
    return sorted(found, key=lambda path: (path.suffix.lower() != ".yaml", path.name))


def data_yamls_in(folder: Path) -> list[Path]:
    """The YAML files of a folder that look like data YAMLs; of several, `data.yaml` or `dataset.yaml` alone."""
    try:
        yamls = [each for each in yamls_in(folder) if looks_like_data_yaml(each)]
    except OSError:
        return []
    named = [each for each in yamls if each.stem.lower() in ("data", "dataset")]
    return named[:1] or yamls


def _recognise_yaml(source: str) -> list[str]:
    path = Path(source).expanduser()
    return ["it is a data YAML"] if path.suffix.lower() in (".yaml", ".yml") and path.exists() else []


def _recognise_folder(source: str) -> list[str]:
    folder = Path(source).expanduser()
    return [f"it holds {each.name}" for each in data_yamls_in(folder)] if folder.is_dir() else []


def _read(source: str, seed: int) -> Dataset:
    path = Path(source).expanduser()
    if not path.is_dir():
        return load_yolo(path)
    yamls = data_yamls_in(path)
    if not yamls:
        raise InputError(f"{path}: holds no data YAML. Add one with 'train', 'val' and 'names'.")
    if len(yamls) > 1:
        names = ", ".join(each.name for each in yamls[:5])
        raise InputError(f"{path}: holds several data YAMLs ({names}). Name the one to use: --data {yamls[0]}.")
    return load_yolo(yamls[0])


YOLO = DataFormat("yolo", _recognise_yaml, _read)
YOLO_FOLDER = DataFormat("yolo-folder", _recognise_folder, _read)

"""Darknet layout: `obj.data` names lists of images and a file of class names; labels are those of YOLO.

CVAT's export "YOLO 1.1" has it: `obj.data`, `obj.names`, `train.txt` and the folder `obj_train_data`, with `data/`
before every path, as Darknet's own examples have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lehr.data.formats.class_names import read_names_file
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.yolo import find_images_of
from lehr.data.formats.yolo_labels import read_splits
from lehr.data.formats.yolo_yaml import Entry
from lehr.data.labels.columns import Declared
from lehr.data.limits import NAMES_BYTES
from lehr.data.places import Place, Places
from lehr.data.text_files import decode_text
from lehr.errors import InputError
from lehr.runtime.reading import read_file, read_start
from lehr.sample import Dataset, Fault, Severity

KEYS = {"train": "train", "valid": "val", "val": "val", "test": "test"}
"""Darknet's names of splits, and Lehr's."""
LINE = re.compile(r"\s*([A-Za-z_]+)\s*[=:]\s*(.*?)\s*$")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A `.data` file as read.

    Attributes:
        path: the file.
        entries: value and line of each key, in lower case.
    """

    path: Path
    entries: dict[str, Entry]


def load_darknet(path: Path) -> Dataset:
    """Read a data set by its `.data` file.

    Paths in it are looked for in its folder, then in the working folder, and then by their end.

    Raises:
        InputError: the file is malformed, its names are missing, or `classes` disagrees with them.
    """
    given = _read_data_file(path)
    own = Place(path.parent, f"the folder of {path.name}")
    places = Places([own, Place(Path(), "the working folder")])
    faults: list[Fault] = []
    names = _names(given, places, faults)
    images: dict[str, list[Path]] = {}
    absent: dict[str, str] = {}
    for key, entry in given.entries.items():
        split = KEYS.get(key)
        if split is None or not entry.text:
            continue
        found = find_images_of(path, split, [entry], places, faults)
        if found.absent:
            absent[split] = found.absent
        if found.images or not found.absent:
            images[split] = found.images
    if not images and not absent:
        raise InputError(f"{path}: names neither 'train' nor 'valid'. Add train = train.txt, a list of images.")
    if list(images) == ["train"]:
        message = "names no 'valid', so all images are in 'train'. To split them: lehr data split"
        faults.append(Fault("no-splits", path, f"{message} {path} --out FOLDER", severity=Severity.NOTE))
    splits, seen = read_splits(images, Declared(names), key=str(path.absolute()))
    return Dataset(str(path), names, splits, (*faults, *seen), absent)


def _read_data_file(path: Path) -> DataFile:
    try:
        text = decode_text(read_file(path, NAMES_BYTES))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check --data.") from None
    if text is None:
        raise InputError(f"{path}: is not text, so it is not Darknet's list of places.")
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.content.splitlines(), 1):
        found = LINE.match(line)
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        if found is None:
            raise InputError(f"{path}:{number}: '{line.strip()[:60]}' is not 'key = value'.")
        key = found[1].lower()
        if key in entries:
            raise InputError(f"{path}:{number}: '{key}' is given there and on line {entries[key].line}. Remove one.")
        entries[key] = Entry(found[2], number)
    return DataFile(path, entries)


def _names(given: DataFile, places: Places, faults: list[Fault]) -> tuple[str, ...]:
    """The class names of the file that `names` names."""
    path, entry = given.path, given.entries.get("names")
    if entry is None or not entry.text:
        raise InputError(f"{path}: has no 'names'. Add names = obj.names, a file with one class name per line.")
    found = places.find(entry.text, f"{path}:{entry.line}")
    if found is None or not found.paths[0].is_file():
        raise InputError(f"{path}:{entry.line}: 'names': {path.parent / entry.text} does not exist. Correct the line.")
    names, notes = read_names_file(found.paths[0])
    faults += notes
    count = given.entries.get("classes")
    if count is not None and count.text != str(len(names)):
        raise InputError(
            f"{path}:{count.line}: 'classes' is {count.text} but {found.paths[0]} names {len(names)}. Make them agree."
        )
    return names


def data_files_in(folder: Path) -> list[Path]:
    """The `.data` files of a folder that name lists of images or class names, by name."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".data" and path.name[0] != "." and path.is_file():
            text = decode_text(read_start(path, 1 << 16))
            keys = {
                each[1].lower() for line in (text.content.splitlines() if text else []) if (each := LINE.match(line))
            }
            if keys & {"names", "train", "valid"}:
                found.append(path)
    return found


def _recognise(source: str) -> list[str]:
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return [f"it holds {each.name}" for each in data_files_in(path)]
    except OSError:
        return []
    return ["it is a .data file of Darknet"] if path.suffix.lower() == ".data" and path.is_file() else []


def _read(source: str, seed: int) -> Dataset:
    path = Path(source).expanduser()
    if not path.is_dir():
        return load_darknet(path)
    files = data_files_in(path)
    if len(files) != 1:
        number = "several" if files else "no"
        raise InputError(f"{path}: holds {number} .data files of Darknet. Name one: --data {path / 'obj.data'}.")
    return load_darknet(files[0])


DARKNET = DataFormat("darknet", _recognise, _read)

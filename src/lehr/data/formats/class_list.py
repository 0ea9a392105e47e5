"""YOLO label files with a list of class names instead of a data YAML, as labelImg and Label Studio write them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lehr.data.find_images import scan_images
from lehr.data.formats.class_names import read_names_file
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.data_yaml_keys import OTHER_NAMES
from lehr.data.formats.yolo import data_yamls_in
from lehr.data.formats.yolo_labels import label_path, read_splits
from lehr.data.images import is_image
from lehr.data.labels.columns import Declared
from lehr.data.limits import NAMES_BYTES, ROW_BYTES, max_objects
from lehr.errors import InputError
from lehr.runtime.reading import read_file
from lehr.sample import SPLITS, Dataset, Fault, Severity

NAMES_FILES = ("classes.txt", "obj.names", "predefined_classes.txt", "notes.json")
"""Files of class names, in the order in which they are preferred; the last is of Label Studio."""
SPLIT_FOLDERS = {name: split for split in SPLITS for name in (split, *OTHER_NAMES[split])}


@dataclass(slots=True)
class Layout:
    """A folder of images and label files without a data YAML.

    Attributes:
        folder: the folder.
        images: the folder of each split's images; one for "train" if they are not divided.
        divided: whether there are folders for splits.
        names_files: the files of class names in it.
    """

    folder: Path
    images: dict[str, Path] = field(default_factory=dict)
    divided: bool = False
    names_files: list[Path] = field(default_factory=list)


def find_layout(folder: Path) -> Layout:
    """Find the folders of images, `train/images`, `images/train`, `train` or all of it, and the class names."""
    layout = Layout(folder)
    subfolders = _folders(folder)
    inner = {name: each for name, each in _folders(folder / "images").items() if name in SPLIT_FOLDERS}
    for name, each in {**subfolders, **inner}.items():
        split = SPLIT_FOLDERS.get(name)
        if split is not None:
            images = each / "images"
            layout.images.setdefault(split, images if images.is_dir() else each)
    layout.divided = bool(layout.images)
    if not layout.images:
        layout.images["train"] = folder / "images" if "images" in subfolders else folder
    places = [folder, folder / "labels", folder / "images", folder / "data"]
    places += [place for each in layout.images.values() for place in (each, each.parent, each.parent / "labels")]
    for place in dict.fromkeys(places):
        layout.names_files += [place / name for name in NAMES_FILES if (place / name).is_file()]
    return layout


def _folders(folder: Path) -> dict[str, Path]:
    """The folders in a folder, by their name in small letters."""
    try:
        return {each.name.lower(): each for each in sorted(folder.iterdir()) if each.is_dir()}
    except OSError:
        return {}


def label_files(layout: Layout) -> Iterator[Path]:
    """Label files of the images of a layout, those that are there."""
    for folder in layout.images.values():
        for root, folders, files in os.walk(folder):
            folders.sort()
            labels = label_path(Path(root) / "image.jpg").parent
            stems = {Path(name).stem for name in files if is_image(Path(name))}
            try:
                names = os.listdir(labels) if stems else []  # noqa: PTH208 - many, and only their names matter
            except OSError:
                continue
            for name in names:
                if name.endswith(".txt") and name[:-4] in stems and name not in NAMES_FILES:
                    yield labels / name


def load_class_list(folder: Path) -> Dataset:
    """Read a folder of images, label files and a list of class names.

    The splits are the folders of their names; without them all images are in "train".

    Raises:
        InputError: there is no list of names, several that differ, or one that cannot be read.
    """
    layout = find_layout(folder)
    if not layout.names_files:
        raise InputError(f"{folder}: holds no classes.txt with one class name per line. Add it, or a data YAML.")
    faults: list[Fault] = []
    names = _names(layout, faults)
    images = {}
    for split, place in layout.images.items():
        scan = scan_images(place)
        images[split] = scan.images
        faults += scan.faults
    if not layout.divided:
        message = (
            f"has no splits, so all images are in 'train'. To split them: `lehr data split {folder} --out FOLDER`."
        )
        faults.append(Fault("no-splits", folder, message, severity=Severity.NOTE))
    splits, seen = read_splits(images, Declared(names), key=str(folder.absolute()))
    return Dataset(str(folder), names, splits, (*faults, *seen))


def _names(layout: Layout, faults: list[Fault]) -> tuple[str, ...]:
    first, *others = layout.names_files
    names, notes = _names_of(first)
    faults += notes
    for other in others:
        if _names_of(other)[0] != names:
            raise InputError(f"{other}: names other classes than {first}. Keep one of them, or write a data YAML.")
    return names


def _names_of(path: Path) -> tuple[tuple[str, ...], list[Fault]]:
    """Class names of a text file, or of Label Studio's `notes.json`."""
    if path.suffix != ".json":
        return read_names_file(path)
    try:
        categories = json.loads(read_file(path, NAMES_BYTES))["categories"]
        numbered = {category["id"]: str(category["name"]) for category in categories}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{path}: is not a list of classes of Label Studio. Add classes.txt, one name per line."
        ) from None
    if not numbered or set(numbered) != set(range(len(numbered))):
        raise InputError(f"{path}: its classes are not numbered from 0 without gaps. Add classes.txt instead.")
    return tuple(numbered[number] for number in range(len(numbered))), []


def _recognise(source: str) -> list[str]:
    folder = Path(source).expanduser()
    if not folder.is_dir() or data_yamls_in(folder) or any(folder.glob("*.data")):
        return []  # they say more than a list of names
    layout = find_layout(folder)
    if not layout.names_files or next(label_files(layout), None) is None:
        return []
    return [f"it holds {layout.names_files[0].relative_to(folder)} and label files"]


def _misses(source: str) -> str | None:
    """Say what to write where images have YOLO labels but nobody names the classes."""
    folder = Path(source).expanduser()
    layout = find_layout(folder) if folder.is_dir() else None
    if layout is None:
        return None
    if layout.names_files:
        return _no_labels(layout)
    count = _class_count(layout)
    if count is None:
        return None
    lines = [f"{split}: {os.path.relpath(place, folder)}" for split, place in layout.images.items()]
    names = ", ".join(f"name-{number}" for number in range(min(count, 5))) + (", ..." if count > 5 else "")
    text = "\n".join(f"    {line}" for line in [*lines, f"names: [{names}]"])
    return (
        f"its images have label files of YOLO layout, but nothing names their classes. The labels have {count} "
        f"({'class 0' if count == 1 else f'0 to {count - 1}'}). Write {folder / 'data.yaml'}:\n{text}"
        + ("" if layout.divided else "\n  and divide the images: lehr data split")
    )


def _no_labels(layout: Layout) -> str | None:
    """Say that there are images, or label files, without the other."""
    texts = [path for place in (layout.folder, layout.folder / "labels") for path in place.glob("*.txt")]
    labels = [path for path in texts if path.name not in NAMES_FILES]
    if labels:
        return (
            f"{layout.names_files[0].name} and {len(labels)} label files are there, but not their images. Export the "
            f"images too, or copy them to {layout.folder / 'images'}, under the names of the label files."
        )
    return f"{layout.names_files[0].name} is there, but no label files (.txt) of the images."


def _class_count(layout: Layout) -> int | None:
    """The number of classes in the first label files of a layout; None if there are none."""
    highest = -1
    for number, path in enumerate(label_files(layout)):
        if number >= 2000:
            break
        try:
            text = read_file(path, max_objects() * ROW_BYTES).decode()
            starts = [line.split(maxsplit=1)[0] for line in text.splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError):
            continue
        highest = max([highest, *(int(start) for start in starts if start.isdecimal() and len(start) < 6)])
    return highest + 1 if highest >= 0 else None


CLASS_LIST = DataFormat("yolo-classes", _recognise, lambda source, seed: load_class_list(_folder(source)), _misses)


def _folder(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_dir():
        raise InputError(f"{path}: is not a folder. Name the folder that holds classes.txt.")
    return path

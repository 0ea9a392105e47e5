"""YOLO layout: a data YAML, image folders or lists, and a text file of normalized boxes an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lehr.data.find_images import images_in
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.yolo_labels import read_splits
from lehr.data.formats.yolo_yaml import class_names, keypoint_shape, read_data_yaml
from lehr.data.image_list import images_listed
from lehr.data.labels.columns import Declared
from lehr.errors import InputError
from lehr.sample import SPLITS, Dataset
from lehr.yaml_files import line_of_key


def load_yolo(path: Path) -> Dataset:
    """Read a data set by its data YAML.

    Args:
        path: the YAML, with `train` and `val` (`test`), each a folder, a `.txt` of images or a list of these, relative
            to `path` (itself relative to the YAML), and `names` as a list or a map from number to name.

    Raises:
        InputError: the YAML is missing or malformed, has an unknown key, disagrees with itself, or names a folder or
            list that is not there.
    """
    content = read_data_yaml(path)
    names = class_names(path, content)
    root = _root(path, content.get("path"))
    images: dict[str, Sequence[Path]] = {}
    for split in SPLITS:
        if content.get(split) is None:
            continue
        listed = [image for entry in _entries(path, split, content[split]) for image in _images_of(path, root, entry)]
        images[split] = list(dict.fromkeys(listed))
    if "train" not in images and "val" not in images:
        raise InputError(f"{path}: names neither 'train' nor 'val'. Add the folders or lists of images.")
    splits, faults = read_splits(images, Declared(names, keypoint_shape(path, content), content.get("task")))
    return Dataset(str(path), names, splits, tuple(faults))


def _root(path: Path, given: object) -> Path:
    if given is None:
        return path.parent
    wanted = Path(str(given)).expanduser()
    beside = path.parent / wanted
    if beside.is_dir() or not wanted.is_dir():
        return beside
    return wanted


def _entries(path: Path, split: str, given: object) -> list[str]:
    entries = given if isinstance(given, list) else [given]
    if not all(isinstance(entry, str) and entry for entry in entries):
        raise InputError(
            f"{path}:{line_of_key(path, split)}: '{split}' must be a folder, a .txt of images, or a list of them."
        )
    return [str(entry) for entry in entries]


def _images_of(yaml_path: Path, root: Path, entry: str) -> list[Path]:
    # Exports of a common labelling service write `../train/images` for a folder beside the YAML.
    candidates = [root / entry, *([yaml_path.parent / entry[3:]] if entry.startswith("../") else [])]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        line = next((i for i, text in enumerate(yaml_path.read_text("utf-8").splitlines(), 1) if entry in text), 1)
        raise InputError(f"{yaml_path}:{line}: '{candidates[0]}' does not exist. Correct the entry, or 'path'.")
    return images_in(found) if found.is_dir() else images_listed(found, root)


def yamls_in(folder: Path) -> list[Path]:
    """The YAML files of a folder, by name."""
    return sorted(folder.glob("*.yaml")) + sorted(folder.glob("*.yml"))


def _recognise_yaml(source: str) -> list[str]:
    return ["it is a data YAML"] if Path(source).suffix.lower() in (".yaml", ".yml") else []


def _recognise_folder(source: str) -> list[str]:
    return [f"it holds {each.name}" for each in yamls_in(Path(source).expanduser())]


def _read(source: str, seed: int) -> Dataset:
    path = Path(source).expanduser()
    if not path.is_dir():
        return load_yolo(path)
    yamls = yamls_in(path)
    if not yamls:
        raise InputError(f"{path}: holds no data YAML. Add one with 'train', 'val' and 'names'.")
    named = [each for each in yamls if each.stem in ("data", "dataset")]
    if len(yamls) > 1 and not named:
        raise InputError(f"{path}: holds several YAML files. Name the one to use: --data {yamls[0]}.")
    return load_yolo((named or yamls)[0])


YOLO = DataFormat("yolo", _recognise_yaml, _read)
YOLO_FOLDER = DataFormat("yolo-folder", _recognise_folder, _read)

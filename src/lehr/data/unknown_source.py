"""Messages for sources that no format accepts, with the remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from lehr.data.images import is_image
from lehr.errors import nearest_names

MANY = 2000
"""Files of a folder that are looked at."""
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
FILES = {
    ".csv": "is a table (CSV), which Lehr does not read. Convert it to label files of YOLO layout or to a COCO JSON",
    ".tsv": "is a table, which Lehr does not read. Convert it to label files of YOLO layout or to a COCO JSON",
    ".xlsx": "is a spreadsheet, which Lehr does not read. Convert it to label files of YOLO layout or to a COCO JSON",
    ".tfrecord": "is a TFRecord, which Lehr does not read. Export the data set as YOLO or COCO",
    ".record": "is a TFRecord, which Lehr does not read. Export the data set as YOLO or COCO",
    ".parquet": "is a Parquet table, which Lehr does not read. Export the data set as YOLO or COCO",
    ".arrow": "is an Arrow table, which Lehr does not read. Export the data set as YOLO or COCO",
    ".h5": "is HDF5, which Lehr does not read. Export the data set as YOLO or COCO",
    ".lmdb": "is an LMDB, which Lehr does not read. Export the data set as YOLO or COCO",
    ".ndjson": "is a list of JSON lines, which Lehr does not read. Export the data set as YOLO or COCO",
    ".jsonl": "is a list of JSON lines, which Lehr does not read. Export the data set as YOLO or COCO",
    ".xml": "is one XML. If it is of a VOC data set, name the folder that holds it and its image",
    ".txt": "is a text file. If it lists images, name it in a data YAML as train: or val:, and name that to --data",
    ".names": "lists class names. Name the data YAML or obj.data that uses it",
    ".pt": "holds weights. Give --data a data set, and --weights the weights",
    ".safetensors": "holds weights. Give --data a data set, and --weights the weights",
}
SAVED_AS_TEXT = re.compile(r"(?i)\.ya?ml\.txt$")


def describe_unknown(source: str, recognised: Callable[[str], str | None], misses: list[str]) -> str:
    """Explain why no format accepts a source, and what would make it a data set.

    Args:
        source: what `--data` named.
        recognised: says why a format would take another source, such as a folder in this one; None if none would.
        misses: what the formats that it is near to say of it.
    """
    path = Path(source).expanduser()
    if re.match(r"[a-z][a-z0-9+]*://", source, re.IGNORECASE):
        return f"--data {source}: is a web address. Lehr downloads nothing: download it, and name its folder."
    if not path.exists():
        return _missing(source, path)
    if path.is_file() and not misses:
        return _file(source, path)
    inner = _inner(path, recognised)
    if len(inner) == 1:
        folder, why = inner[0]
        return f"--data {source}: holds one data set in a subfolder ({why}). Name it: --data {folder}."
    if inner:
        listed = "\n".join(f"  --data {folder} ({why})" for folder, why in inner[:10])
        return f"--data {source}: holds several data sets. Name one of them:\n{listed}"
    if misses:
        return "\n".join([f"--data {source}: is not a data set in this form.", *misses])
    return _folder(source, path)


def _missing(source: str, path: Path) -> str:
    """Report a missing path, and the neighbour with the nearest name."""
    text = f"--data {source}: does not exist."
    if "," in source:
        return f"{text} A pair is two COCO JSON files: --data train.json,val.json."
    try:
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else None
    except OSError:
        beside = []
    if beside is None:
        return (
            f"{text} Neither does {path.parent}, from {Path().resolve()}. Give the path from here, or the whole path."
        )
    near = nearest_names(path.name, [name.lower() for name in beside], 1)
    named = [name for name in beside if near and name.lower() == near[0]]
    if named:
        return f"{text} Did you mean {path.parent / named[0]}?"
    return f"{text} Give a data YAML, a COCO JSON, a folder, or 'shapes' (generated)."


def _file(source: str, path: Path) -> str:
    """Say what a file is that is not a data set."""
    if path.name.lower().endswith(ARCHIVES):
        return f"--data {source}: is an archive. Unpack it, and name the folder or the data YAML in it."
    if SAVED_AS_TEXT.search(path.name):
        return f"--data {source}: was saved with .txt after .yaml. Rename it to {path.name[:-4]}."
    about = FILES.get(path.suffix.lower())
    if about:
        return f"--data {source}: {about}."
    if is_image(path):
        return f"--data {source}: is an image. `lehr predict` takes images; --data takes data sets."
    return f"--data {source}: is not a known layout. Give a data YAML, a COCO JSON, a VOC folder, or 'shapes'."


def _inner(path: Path, recognised: Callable[[str], str | None]) -> list[tuple[Path, str]]:
    """The folders in a folder, and those in its only folder, that a format takes."""
    for _ in range(3):
        folders = _folders(path)
        found = [(folder, why) for folder in folders[:50] if (why := recognised(str(folder))) is not None]
        if found or len(folders) != 1:
            return found
        path = folders[0]
    return []


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(each for each in path.iterdir() if each.is_dir() and each.name[0] not in "._")
    except OSError:
        return []


def _folder(source: str, path: Path) -> str:
    """Describe the files of a folder."""
    files = [each for each in islice(path.rglob("*"), MANY) if each.is_file() and each.name[0] != "."]
    if not files:
        return f"--data {source}: is not a known layout: the folder is empty."
    images = [each for each in files if is_image(each)]
    suffixes = Counter(each.suffix.lower() for each in files if not is_image(each))
    archives = [each for each in files if each.name.lower().endswith(ARCHIVES)]
    if archives and not images:
        return f"--data {source}: holds the archive {archives[0].name}. Unpack it, and name the folder that results."
    for suffix, about in FILES.items():
        if suffixes[suffix] and suffix in (".csv", ".tfrecord", ".record", ".parquet", ".arrow", ".h5", ".lmdb"):
            first = next(each for each in files if each.suffix.lower() == suffix)
            return f"--data {source}: {first.name} {about}."
    if not images:
        kinds = ", ".join(suffix for suffix, _ in suffixes.most_common(4) if suffix) or "files"
        return f"--data {source}: is not a known layout: it holds {kinds} but no image that is read."
    classes = _class_folders(images)
    if classes and not suffixes[".txt"]:
        shown = ", ".join(sorted(classes)[:4]) + (", ..." if len(classes) > 4 else "")
        return (
            f"--data {source}: looks like data for classification (a folder of images for each class: {shown}). A "
            "detector needs boxes, and nothing here says where the objects are. Label them, e.g. with CVAT or labelImg."
        )
    if suffixes[".json"] > 1:
        return (
            f"--data {source}: holds images and {suffixes['.json']} JSON files, none of them COCO's. If a tool wrote "
            "one for each image (labelme, Supervisely), export as COCO or YOLO from it."
        )
    return f"{path}: holds images but neither XML labels, a COCO JSON nor a data YAML. Add one."


def _class_folders(images: list[Path]) -> set[str]:
    """The names of folders that hold images, where they are at least two and none is named as of a detector's data."""
    names = {each.parent.name for each in images}
    others = {"images", "train", "val", "valid", "test", "jpegimages", "imgs", "data", "obj_train_data"}
    return names if len(names) > 1 and not {name.lower() for name in names} & others else set()

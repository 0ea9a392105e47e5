"""Data from other packages, written as a COCO folder: images and boxes unchanged.

Images of these packages may be bytes in a table or rows of a database, whereas Lehr checks, caches, resumes and repeats
a run by files. And whatever may be wrong with the boxes (their form, their order, what reaches out of the image) is
found by the reader of COCO, with file and annotation, instead of by a second one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lehr.data.images.kinds import foreign, format_of, suffix_of
from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_dir
from lehr.runtime.plain_text import as_json, one_line
from lehr.runtime.reading import GIB, MIB, open_file, read_start
from lehr.sample import SPLITS

SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test"}
"""Splits under other packages' names."""
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp", "GIF": "gif", "AVIF": "avif"}
HEAD = 64
LARGEST = 2 * GIB
"""Bytes of an image file."""
COPIED = MIB


@dataclass(frozen=True, slots=True)
class ForeignImage:
    """An image of another package with its objects.

    Attributes:
        image: its file, or the content of one.
        name: what it is called there, for its file and for messages; may be empty.
        boxes: x, y, width and height of each object, pixels.
        classes: index of each into the class names.
        crowd: whether each is a region of many objects.
    """

    image: Path | bytes
    name: str
    boxes: Sequence[Sequence[float]]
    classes: Sequence[int]
    crowd: Sequence[bool] = field(default=())


def split_name(name: str) -> str:
    """Lehr's name of another package's split; "train" of one that it does not know."""
    plain = name.lower()
    return plain if plain in SPLITS else SPLIT_NAMES.get(plain, "train")


def write_coco_folder(splits: Mapping[str, Iterable[ForeignImage]], names: Sequence[str], folder: Path) -> None:
    """Write images and boxes as a folder that `--data` takes; it appears whole or not at all.

    Args:
        splits: the images of train, val and test.
        names: the class names.
        folder: where; must not exist or be empty.

    Raises:
        InputError: the folder is taken or cannot be written, or what stands for an image is none.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and is not empty. Choose another folder.")

    def write(temporary: Path) -> None:
        (temporary / "annotations").mkdir()
        for split, images in splits.items():
            content = _split(images, names, temporary / "images" / split)
            (temporary / "annotations" / f"instances_{split}.json").write_text(as_json(content), encoding="utf-8")

    atomic_dir(folder, write, "Choose another folder.")


def _split(images: Iterable[ForeignImage], names: Sequence[str], folder: Path) -> dict[str, Any]:
    """The COCO JSON of a split, whose images are written."""
    folder.mkdir(parents=True)
    listed: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    taken: set[str] = set()
    for number, each in enumerate(images, 1):
        listed.append({"id": number, "file_name": _write_image(each, number, folder, taken)})
        crowds = each.crowd or [False] * len(each.boxes)
        for box, class_id, crowd in zip(each.boxes, each.classes, crowds, strict=True):
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number,
                    "category_id": class_id + 1,
                    "bbox": [float(side) for side in box],
                    "iscrowd": int(crowd),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {"images": listed, "annotations": objects, "categories": categories}


def _write_image(each: ForeignImage, number: int, folder: Path, taken: set[str]) -> str:
    """Write an image under its own name where it has a plain one that is free; else under its number."""
    called = one_line(each.name or f"image {number}")
    try:
        head = each.image[:HEAD] if isinstance(each.image, bytes) else read_start(each.image, HEAD)
        kind = format_of(head)
        if kind is None:
            raise InputError(f"{called}: {foreign(head)}" if head else f"{called}: is empty.")
        name = _file_name(each.name, number, SUFFIXES.get(kind, kind.lower()))
        if name.lower() in taken:
            name = f"{number:06d}-{name}"
        taken.add(name.lower())
        with (folder / name).open("xb") as copy:
            if isinstance(each.image, bytes):
                copy.write(each.image)
            else:
                with open_file(each.image, LARGEST) as image:
                    shutil.copyfileobj(image, copy, COPIED)
    except OSError as error:
        raise InputError(f"{called}: cannot be read or copied ({error.strerror}).") from None
    return name


def _file_name(name: str, number: int, suffix: str) -> str:
    """A plain file name: that of the image without its folders, or its number."""
    own = name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = own and len(own) <= 200 and all(letter.isalnum() or letter in "-_. +" for letter in own)
    if not plain or own.startswith("."):
        return f"{number:06d}.{suffix}"
    return own if suffix_of(own) else f"{own}.{suffix}"

"""Small data sets of painted rectangles, as files in memory, in every layout that Lehr reads."""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES = ("cat", "dog")
COLOURS = np.array([(230, 20, 20), (20, 20, 230)])
"""Colour that objects of each class are painted in, RGB."""
BACKGROUND = 90

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link.

    Attributes:
        target: path that it points to.
    """

    target: str


Files = dict[str, bytes | Link]
"""Content by path within the folder of the data set; a path that ends in a slash is an empty folder."""


@dataclass(frozen=True, slots=True)
class Painting:
    """One painted image.

    Attributes:
        split: train or val.
        stem: its name without suffix.
        size: width and height as displayed, pixels.
        objects: class and xyxy of each rectangle, at most one per class.
    """

    split: str
    stem: str
    size: tuple[int, int]
    objects: tuple[tuple[int, Box], ...]


@dataclass(slots=True)
class PaintedSet:
    """A data set to be written and read.

    Attributes:
        files: its content.
        source: path for `--data` within the folder; "" is the folder itself.
        by_name: whether the name of a class determines its colour; else its number does.
        about: the changes, in words.
        whole: whether all objects must be found, unless a fault or a refusal explains why not.
        explains: returns for a box on no painted object, given the name of its image, its class and its corners,
            whether the changed numbers of the file put it there.
        changed_images: images whose pixels were changed, so that nothing is known about them.
    """

    files: Files
    source: str
    by_name: bool
    about: list[str] = field(default_factory=list)
    whole: bool = True
    explains: Callable[[str, str, NDArray[np.float64]], bool] | None = None
    changed_images: set[str] = field(default_factory=set)


def _paintings() -> tuple[Painting, ...]:
    rng = random.Random(5)
    made = []
    for number in range(10):
        split = "train" if number < 6 else "val"
        width, height = rng.choice([(96, 64), (88, 72), (64, 80), (100, 60)])
        objects = []
        for class_id in range(2) if number % 5 else (number % 2,):
            w, h = rng.randint(16, width // 2 - 8), rng.randint(18, height - 12)
            x = rng.randint(1, width // 2 - w - 2) + (width // 2) * ((class_id + number) % 2)
            y = rng.randint(1, height - h - 2)
            objects.append((class_id, (x, y, x + w, y + h)))
        made.append(Painting(split, f"{split}{number}", (width, height), tuple(objects)))
    return tuple(made)


PAINTINGS = _paintings()
OBJECTS = sum(len(painting.objects) for painting in PAINTINGS)


def pixels(painting: Painting) -> NDArray[np.uint8]:
    """Return the image, uint8 (h, w, 3), RGB."""
    image = np.full((*painting.size[::-1], 3), BACKGROUND, np.uint8)
    for class_id, (x1, y1, x2, y2) in painting.objects:
        image[y1:y2, x1:x2] = COLOURS[class_id]
    return image


@lru_cache(400)
def encoded(painting: Painting, suffix: str = ".png", orientation: int = 0, mode: str = "RGB") -> bytes:
    """Return the image as the bytes of a file.

    Args:
        painting: the image.
        suffix: names the format.
        orientation: EXIF's, 6 or 8: the stored pixels are rotated so that it is displayed as painted; 0 for none.
        mode: Pillow's mode.
    """
    stored = np.rot90(pixels(painting), {6: 1, 8: -1}.get(orientation, 0))
    image = Image.fromarray(np.ascontiguousarray(stored))
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    more: dict[str, Any] = {"quality": 95} if suffix in {".jpg", ".webp"} else {}
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        more["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    image.save(buffer, {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper()), **more)
    return buffer.getvalue()


def shares(painting: Painting, box: Box) -> list[float]:
    """Return centre and size of a box as fractions of the image."""
    (x1, y1, x2, y2), (width, height) = box, painting.size
    return [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]


def plain_line(painting: Painting, class_id: int, box: Box) -> str:
    """Return a line of a label file."""
    return " ".join([str(class_id), *(f"{share:.6f}" for share in shares(painting, box))])


def label_text(painting: Painting, line: Callable[[Painting, int, Box], str] = plain_line) -> str:
    """Return the text of a label file."""
    return "".join(f"{line(painting, class_id, box)}\n" for class_id, box in painting.objects)


def yolo(suffix: str = ".png") -> PaintedSet:
    """Make a set in YOLO's layout with a data YAML that names folders."""
    files: Files = {"data.yaml": b"path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n"}
    for each in PAINTINGS:
        files[f"images/{each.split}/{each.stem}{suffix}"] = encoded(each, suffix)
        files[f"labels/{each.split}/{each.stem}.txt"] = label_text(each).encode()
    return PaintedSet(files, "data.yaml", by_name=False)


def yolo_lists() -> PaintedSet:
    """Make a set in YOLO's layout with lists of images."""
    made = yolo()
    made.files["data.yaml"] = b"train: train.txt\nval: val.txt\nnames:\n  0: cat\n  1: dog\n"
    for split in ("train", "val"):
        lines = [f"images/{split}/{each.stem}.png\n" for each in PAINTINGS if each.split == split]
        made.files[f"{split}.txt"] = "".join(lines).encode()
    return made


def darknet() -> PaintedSet:
    """Make a set in Darknet's layout, as CVAT writes it."""
    files: Files = {
        "obj.data": b"classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "obj.names": b"cat\ndog\n",
    }
    for split, name in (("train", "train"), ("val", "valid")):
        own = [each for each in PAINTINGS if each.split == split]
        files[f"{name}.txt"] = "".join(f"data/obj_{name}_data/{each.stem}.png\n" for each in own).encode()
        for each in own:
            files[f"obj_{name}_data/{each.stem}.png"] = encoded(each)
            files[f"obj_{name}_data/{each.stem}.txt"] = label_text(each).encode()
    return PaintedSet(files, "obj.data", by_name=False)


def class_list() -> PaintedSet:
    """Make a set of images and label files with `classes.txt`, as labelImg writes them."""
    files: Files = {"classes.txt": b"cat\ndog\n"}
    for each in PAINTINGS:
        files[f"images/{each.split}/{each.stem}.png"] = encoded(each)
        files[f"labels/{each.split}/{each.stem}.txt"] = label_text(each).encode()
    return PaintedSet(files, "", by_name=False)


def coco_content(split: str) -> dict[str, Any]:
    """Return the COCO JSON of a split."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for each in (each for each in PAINTINGS if each.split == split):
        image = {"id": len(images) + 1, "file_name": f"{each.stem}.png", "width": each.size[0], "height": each.size[1]}
        images.append(image)
        for class_id, (x1, y1, x2, y2) in each.objects:
            w, h = x2 - x1, y2 - y1
            annotation = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": class_id + 1}
            annotation |= {"bbox": [x1, y1, w, h], "area": w * h, "iscrowd": 0}
            annotation["segmentation"] = [[x1, y1, x2, y1, x2, y2, x1, y2]]
            annotations.append(annotation)
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco() -> PaintedSet:
    """Make a set with a COCO JSON for each of its two splits."""
    files: Files = {f"{each.split}/{each.stem}.png": encoded(each) for each in PAINTINGS}
    for split in ("train", "val"):
        files[f"annotations/instances_{split}.json"] = json.dumps(coco_content(split)).encode()
    return PaintedSet(files, "", by_name=True)


def voc_object(name: str, box: Box, more: str = "") -> str:
    """Return an object of a VOC annotation; pixels count from 1."""
    sides = zip(("xmin", "ymin", "xmax", "ymax"), (box[0] + 1, box[1] + 1, box[2], box[3]), strict=True)
    inner = "".join(f"<{tag}>{side}</{tag}>" for tag, side in sides)
    return f"<object>\n<name>{name}</name>{more}\n<bndbox>{inner}</bndbox>\n</object>\n"


def voc_text(painting: Painting, more: str = "") -> str:
    """Return a VOC annotation."""
    objects = "".join(voc_object(NAMES[class_id], box, more) for class_id, box in painting.objects)
    width, height = painting.size
    return (
        f"<annotation>\n<folder>x</folder><filename>{painting.stem}.png</filename>\n<size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>\n{objects}</annotation>\n"
    )


def voc() -> PaintedSet:
    """Make a VOC folder with lists of its splits."""
    files: Files = {}
    for each in PAINTINGS:
        files[f"JPEGImages/{each.stem}.png"] = encoded(each)
        files[f"Annotations/{each.stem}.xml"] = voc_text(each).encode()
    for split in ("train", "val"):
        lines = "".join(f"{each.stem}\n" for each in PAINTINGS if each.split == split)
        files[f"ImageSets/Main/{split}.txt"] = lines.encode()
    return PaintedSet(files, "", by_name=True)


def cvat() -> PaintedSet:
    """Make a set in the format "CVAT for images"."""
    files: Files = {}
    images = []
    for number, each in enumerate(PAINTINGS):
        files[f"images/{each.stem}.png"] = encoded(each)
        boxes = "".join(
            f'<box label="{NAMES[class_id]}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" occluded="0"></box>\n'
            for class_id, (x1, y1, x2, y2) in each.objects
        )
        subset = {"train": "Train", "val": "Validation"}[each.split]
        width, height = each.size
        images.append(
            f'<image id="{number}" name="{each.stem}.png" subset="{subset}" width="{width}" height="{height}">\n'
            f"{boxes}</image>\n"
        )
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    meta = f"<version>1.1</version>\n<meta><task><labels>{labels}</labels></task></meta>\n"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{"".join(images)}</annotations>\n'
    files["annotations.xml"] = text.encode()
    return PaintedSet(files, "", by_name=True)


def write(made: PaintedSet, root: Path) -> None:
    """Write a data set into a new folder; of names that exclude each other, the first is written."""
    folders = {root}
    root.mkdir(parents=True)
    for name, content in made.files.items():
        path = root / name
        with contextlib.suppress(NotADirectoryError, IsADirectoryError, FileExistsError):
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            if isinstance(content, Link):
                path.symlink_to(content.target)
            elif not path.is_symlink():  # nothing is written through a link
                path.write_bytes(content)

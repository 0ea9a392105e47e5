"""Fingerprints of single images and their labels, so that two runs can report which images differ.

A run keeps them as images.jsonl: a line with the class names, then a line per image: split, file name, width, height, a
hash of its objects, and one of its file, where that was read. Files are hashed where all together are small, or where
the run records digests.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lehr.errors import InputError
from lehr.runtime.plain_text import as_json
from lehr.runtime.reading import GIB, MIB, open_file, read_file
from lehr.sample import Sample

MARKS = "images.jsonl"
FORMAT = "lehr-data-1"
MAX_BYTES, MAX_IMAGES, MAX_NAME = GIB, 10_000_000, 10_000
SMALL = 256 * MIB
"""Bytes of all files together up to which each is hashed in any run."""
MAX_FILE = 4 * GIB
CHUNK = MIB

Change = Literal["missing", "added", "order", "size", "labels", "pixels"]


@dataclass(frozen=True, slots=True)
class ImageMark:
    """Fingerprint of an image.

    Attributes:
        split: train or val.
        name: of its file, without the folder.
        width: pixels.
        height: pixels.
        labels: hash of its objects.
        content: hash of its file; None if it was not read.
    """

    split: str
    name: str
    width: int
    height: int
    labels: str
    content: str | None = None

    def line(self) -> str:
        """Its line of images.jsonl."""
        return as_json([self.split, self.name, self.width, self.height, self.labels, self.content])


@dataclass(frozen=True, slots=True)
class DataMarks:
    """Fingerprints of the data of a run.

    Attributes:
        names: the class names.
        images: of each image, the splits one after another, in their order.
    """

    names: tuple[str, ...]
    images: tuple[ImageMark, ...]

    def split(self, name: str) -> list[ImageMark]:
        """Return the images of a split, in its order."""
        return [each for each in self.images if each.split == name]


@dataclass(frozen=True, slots=True)
class DataDifference:
    """A difference between the data of two runs.

    Attributes:
        split: train or val.
        name: file name of the image.
        change: what differs: the image is missing in the second or was added there, has another position, has another
            size, other objects, or other pixels.
        index: of the image in its split in the first run; in the second for one that was added.
    """

    split: str
    name: str
    change: Change
    index: int

    def __str__(self) -> str:
        meanings = {
            "missing": "is missing in the second",
            "added": "is only in the second",
            "order": "has another position",
            "size": "has another size",
            "labels": "has other objects",
            "pixels": "has another content, with the same size and objects",
        }
        return f"{self.split} image {self.name}: {meanings[self.change]}"


def hash_objects(sample: Sample) -> str:
    """Hash the objects of an image, and what an evaluation ignores in it."""
    digest = hashlib.blake2b(digest_size=8)
    for column in (sample.boxes, sample.classes, sample.ignored.boxes, sample.ignored.classes, sample.ignored.crowd):
        digest.update(f"{len(column)} ".encode() + np.ascontiguousarray(column).tobytes())
    if sample.difficult is not None:
        digest.update(sample.difficult.tobytes())
    return digest.hexdigest()


def hash_file(path: Path) -> str | None:
    """Hash the content of a file; None if it cannot be read."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        with open_file(path, MAX_FILE) as file:
            while part := file.read(CHUNK):
                digest.update(part)
    except OSError:
        return None
    return digest.hexdigest()


def are_small(splits: Mapping[str, Sequence[Sample]]) -> bool:
    """Return whether all files together are small enough to be read in any run."""
    room = SMALL
    for samples in splits.values():
        for sample in samples:
            try:
                room -= os.stat(sample.path).st_size  # noqa: PTH116 (many of them)
            except OSError:
                continue
            if room < 0:
                return False
    return True


def mark_images(splits: Mapping[str, Sequence[Sample]], content: bool) -> Iterator[ImageMark]:
    """Yield the fingerprint of each image.

    Args:
        splits: samples by split.
        content: whether files are read.
    """
    for split, samples in splits.items():
        for sample in samples:
            own = hash_file(sample.path) if content else None
            yield ImageMark(split, sample.path.name, sample.width, sample.height, hash_objects(sample), own)


def marks_text(names: Sequence[str], marks: Iterable[ImageMark]) -> str:
    """Return the content of images.jsonl."""
    return "\n".join([as_json({"format": FORMAT, "names": list(names)}), *(mark.line() for mark in marks), ""])


def read_marks(folder: Path) -> DataMarks | None:
    """Read the fingerprints of a run's data; None if it has none, since it was trained by an earlier version.

    Raises:
        InputError: the file is none that Lehr writes, or cannot be read.
    """
    path = folder / MARKS
    try:
        lines = read_file(path, MAX_BYTES, links=False).decode("utf-8", "surrogatepass").split("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise InputError(f"{path}: cannot be read ({reason}).") from None
    try:
        head = json.loads(lines[0])
        if head["format"] != FORMAT or lines.pop() or len(lines) - 1 > MAX_IMAGES:
            raise ValueError
        names = tuple(_text(each) for each in head["names"])
        return DataMarks(names, tuple(_parsed(line) for line in lines[1:]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError(f"{path}: is damaged, or was not written by this version of Lehr. Remove it.") from None


def compare_marks(first: DataMarks, second: DataMarks) -> list[DataDifference]:
    """Return in what the data of two runs differ, image by image; class names aside.

    Images are taken for the same by split, file name, and how often that name came before.
    """
    found = []
    for split in dict.fromkeys(each.split for each in (*first.images, *second.images)):
        ours, theirs = (_numbered(each.split(split)) for each in (first, second))
        common = [key for key in ours if key in theirs]
        order = sorted(common, key=lambda key: theirs[key][0])
        for key, (index, mark) in ours.items():
            if key not in theirs:
                found.append(DataDifference(split, mark.name, "missing", index))
                continue
            change = _change(mark, theirs[key][1])
            if change is not None:
                found.append(DataDifference(split, mark.name, change, index))
        moved = next((key for key, other in zip(common, order, strict=True) if key != other), None)
        if moved is not None:
            found.append(DataDifference(split, ours[moved][1].name, "order", ours[moved][0]))
        found += [
            DataDifference(split, mark.name, "added", index) for key, (index, mark) in theirs.items() if key not in ours
        ]
    return found


def _numbered(marks: Sequence[ImageMark]) -> dict[tuple[str, int], tuple[int, ImageMark]]:
    counts: dict[str, int] = {}
    keyed = {}
    for index, mark in enumerate(marks):
        counts[mark.name] = counts.get(mark.name, -1) + 1
        keyed[mark.name, counts[mark.name]] = index, mark
    return keyed


def _change(mark: ImageMark, other: ImageMark) -> Change | None:
    if (mark.width, mark.height) != (other.width, other.height):
        return "size"
    if mark.labels != other.labels:
        return "labels"
    return "pixels" if None not in (mark.content, other.content) and mark.content != other.content else None


def _parsed(line: str) -> ImageMark:
    split, name, width, height, labels, content = json.loads(line)
    if type(width) is not int or type(height) is not int:
        raise ValueError
    return ImageMark(
        _text(split), _text(name), width, height, _text(labels), None if content is None else _text(content)
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ValueError
    return value

"""COCO results: a list of boxes with image, category and score, as COCO's evaluation reads them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from lehr.data.formats.coco_json import read_coco_json
from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.atomic_text_file import AtomicTextFile
from lehr.runtime.console import LOGGER
from lehr.runtime.plain_text import as_json, one_line


@dataclass(frozen=True, slots=True)
class CocoIds:
    """Ids of images and categories, of the JSON with the ground truth.

    Attributes:
        path: the JSON.
        images: id by file name, as given there.
        unique: id by the last part of that name, where no two images have the same.
        categories: id by name.
    """

    path: Path
    images: dict[str, Any]
    unique: dict[str, Any]
    categories: dict[str, Any]

    def of_image(self, source: str) -> Any:
        """The id of an image: of the longest end of its path that is a name there; None if none is."""
        parts = PurePath(source).parts
        ends = (PurePosixPath(*parts[start:]).as_posix() for start in range(len(parts)))
        found = next((self.images[end] for end in ends if end in self.images), None)
        return self.unique.get(parts[-1]) if found is None and parts else found


def read_coco_ids(path: Path) -> CocoIds:
    """Read the ids of images and categories from a COCO JSON.

    Raises:
        InputError: it cannot be read, or is none.
    """
    content = read_coco_json(path)
    images = {str(each.get("file_name")): each.get("id") for each in content.images}
    counts = Counter(PurePosixPath(name).name for name in images)
    unique = {PurePosixPath(name).name: given for name, given in images.items()}
    categories = {str(each.get("name")): each.get("id") for each in content.categories}
    if not images or not categories:
        raise InputError(f"{path}: has no images or no categories. --coco-ids is the JSON with the ground truth.")
    return CocoIds(path, images, {name: unique[name] for name, count in counts.items() if count == 1}, categories)


class CocoResults:
    """A COCO results file of all frames; it appears at the end, whole.

    Without ids of a ground truth, images count from 1 in their order, categories are the classes from 1, and each
    result has the name of its image besides, and a frame's place in its video.

    Args:
        path: the file.
        ids: of images and categories; None without a ground truth.
    """

    def __init__(self, path: Path, ids: CocoIds | None = None) -> None:
        self._file = AtomicTextFile(path, "--coco")
        self._ids = ids
        self._images = self._results = 0
        self._unknown_images: list[str] = []
        self._unknown_classes: set[str] = set()

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append the objects of a frame."""
        if detections.fault is not None:
            return
        self._images += 1
        if not self._file.is_begun:
            self._file.write("[")
        image_id = self._images if self._ids is None else self._ids.of_image(frame.source)
        if image_id is None:
            self._unknown_images.append(frame.source)
            return
        beside: dict[str, Any] = {} if self._ids is not None else {"file_name": frame.source}
        if frame.clip is not None:
            beside["frame"] = frame.index
        for each in detections:
            category = each.class_id + 1 if self._ids is None else self._ids.categories.get(each.name)
            if category is None:
                self._unknown_classes.add(each.name)
                continue
            x1, y1, x2, y2 = each.xyxy
            box = [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
            result = {"image_id": image_id, "category_id": category, "bbox": box, "score": round(each.score, 6)}
            track = {} if each.track_id is None else {"track_id": each.track_id}
            self._file.write(("," if self._results else "") + "\n" + as_json({**result, **track, **beside}))
            self._results += 1

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """Put the file in its place, and say what has no id."""
        if self._file.is_begun:
            self._file.write("\n]\n")
        self._file.complete()
        if self._ids is not None and self._unknown_images:
            count, first = len(self._unknown_images), one_line(self._unknown_images[0])
            LOGGER.warning(
                "%s has no image of the name of %d that were predicted, e.g. %s: the COCO results are without them.",
                self._ids.path, count, first,
            )  # fmt: skip
        if self._ids is not None and self._unknown_classes:
            names = ", ".join(sorted(map(one_line, self._unknown_classes)))
            LOGGER.warning("%s has no category %s: the COCO results are without them.", self._ids.path, names)

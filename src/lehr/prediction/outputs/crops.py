"""Crops: each object cut out of its image, in the folder of its class."""

from __future__ import annotations

import math
from pathlib import Path

from lehr.data.images import write_image
from lehr.detections import Detection, Detections
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.source_names import SourceNames, plain_name


class Crops:
    """A JPEG for each object, `CLASS/IMAGE-NUMBER.jpg`, best first; of a tracked object with its track.

    Args:
        folder: where; made when the first is written.
        names: of the sources.
    """

    def __init__(self, folder: Path, names: SourceNames) -> None:
        self._folder, self._names = folder, names
        self._classes: dict[int, Path] = {}

    def write(self, frame: Frame, detections: Detections) -> None:
        """Write the objects of a frame."""
        if detections.fault is not None:
            return
        for number, each in enumerate(detections, 1):
            track = "" if each.track_id is None else f"-track{each.track_id}"
            path = self._of_class(each) / f"{self._names.of_each(frame)}-{number}{track}.jpg"
            write_image(path, frame.part(_whole_pixels(each, detections.width, detections.height)))

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """Do nothing: each file is complete."""

    def _of_class(self, detection: Detection) -> Path:
        """The folder of a class: its name as far as it can be one, with its number where another has that already."""
        folder = self._classes.get(detection.class_id)
        if folder is None:
            name = plain_name(detection.name, f"class-{detection.class_id}")
            if any(name.casefold() == other.name.casefold() for other in self._classes.values()):
                name = f"{name}-{detection.class_id}"
            folder = self._classes[detection.class_id] = self._folder / name
            folder.mkdir(parents=True, exist_ok=True)
        return folder


def _whole_pixels(detection: Detection, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels that a box touches: left and top, and right and bottom, exclusive; one at least."""
    x1, y1, x2, y2 = detection.xyxy
    left, top = (min(max(math.floor(side), 0), most - 1) for side, most in ((x1, width), (y1, height)))
    right, bottom = (min(math.ceil(side), most) for side, most in ((x2, width), (y2, height)))
    return left, top, max(right, left + 1), max(bottom, top + 1)

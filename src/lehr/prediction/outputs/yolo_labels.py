"""YOLO labels: a text file for each image or frame, one line per object."""

from __future__ import annotations

from pathlib import Path

from lehr.detections import Detections
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.source_names import SourceNames


class YoloLabels:
    """Labels in a folder, with the names of the images; an image without objects has an empty one.

    A line is the class, and the box's centre, width and height as shares of the image's; then the score, where it is
    asked for, and the track, where objects are tracked and this one is.

    Args:
        folder: where; made when the first is written.
        names: of the sources.
        scores: whether lines have scores.
    """

    def __init__(self, folder: Path, names: SourceNames, scores: bool = False) -> None:
        self._folder, self._names, self._scores = folder, names, scores

    def write(self, frame: Frame, detections: Detections) -> None:
        """Write the labels of a frame that was read."""
        if detections.fault is not None:
            return
        self._folder.mkdir(exist_ok=True)
        text = "".join(self._lines(detections))
        (self._folder / f"{self._names.of_each(frame)}.txt").write_text(text, encoding="ascii", newline="\n")

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """Do nothing: each file is complete."""

    def _lines(self, detections: Detections) -> list[str]:
        lines = []
        for each in detections:
            x1, y1, x2, y2 = each.xyxy
            centre = (x1 + x2) / 2 / detections.width, (y1 + y2) / 2 / detections.height
            size = (x2 - x1) / detections.width, (y2 - y1) / detections.height
            numbers = [f"{value:.6f}" for value in (*centre, *size, *((each.score,) if self._scores else ()))]
            track = [] if each.track_id is None else [str(each.track_id)]
            lines.append(" ".join((str(each.class_id), *numbers, *track)) + "\n")
        return lines

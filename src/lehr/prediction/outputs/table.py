"""CSV: one row per object."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lehr.detections import Detections
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.atomic_text_file import AtomicTextFile
from lehr.runtime.plain_text import csv_cell

COLUMNS = ("source", "frame", "time", "class", "name", "score", "x1", "y1", "x2", "y2", "track")
"""Frame and time, in seconds, are empty of images, and track where an object is not followed; corners are pixels."""


class Table:
    """A CSV file with one row per object; the file appears at the end, whole.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = AtomicTextFile(path, "--csv")

    def write(self, frame: Frame, detections: Detections) -> None:
        """Append the objects of a frame."""
        if detections.fault is not None:
            return
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if not self._file.is_begun:
            rows.writerow(COLUMNS)
        of_clip = ("", "") if frame.clip is None else (frame.index, "" if frame.time is None else round(frame.time, 6))
        for each in detections:
            corners = (round(side, 3) for side in each.xyxy)
            name, track = csv_cell(each.name), "" if each.track_id is None else each.track_id
            rows.writerow(
                (csv_cell(frame.source), *of_clip, each.class_id, name, round(each.score, 6), *corners, track)
            )
        self._file.write(text.getvalue())

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """Put the file in its place."""
        self._file.complete()

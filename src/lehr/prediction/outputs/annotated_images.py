"""Annotated images: a copy of each image with its boxes."""

from __future__ import annotations

from pathlib import Path

from lehr.data.images import write_image
from lehr.detections import Detections
from lehr.detections.annotate import annotate
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.outputs.source_names import SourceNames

KEPT = frozenset({".jpg", ".jpeg", ".png"})
"""Endings of images whose copies have the same; others are JPEG."""


class AnnotatedImages:
    """Copies of images in a folder; frames of videos are others' business.

    Args:
        folder: where.
        names: of the sources.
    """

    def __init__(self, folder: Path, names: SourceNames) -> None:
        self._folder, self._names = folder, names

    def write(self, frame: Frame, detections: Detections) -> None:
        """Write a copy of an image."""
        if detections.fault is not None or frame.clip is not None:
            return
        suffix = Path(frame.source).suffix
        name = f"{self._names.of(frame)}{suffix if suffix.lower() in KEPT else '.jpg'}"
        write_image(self._folder / name, annotate(frame.part((0, 0, detections.width, detections.height)), detections))

    def end_clip(self, clip: Clip) -> None:
        """Do nothing: the results of all sources are alike."""

    def close(self) -> None:
        """Do nothing: each file is complete."""

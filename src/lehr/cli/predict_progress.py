"""Progress of `lehr predict` in the terminal: a line per image, a line every few seconds of a video or stream."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from lehr.detections import Detections
from lehr.prediction.frames import Clip, Frame
from lehr.runtime.console import complain
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line

SECONDS = 10.0
"""Between two lines on a video or stream."""
MOST_NAMED = 3
"""Frames of a video or stream that cannot be read and are named; the others are counted."""


@dataclass(slots=True)
class _ClipCounts:
    clip: Clip
    frames: int = 0
    broken: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)


class Progress:
    """Prints what was found, and counts it.

    Args:
        say: prints a line.
        max_det: most detections per image.

    Attributes:
        images: images and frames that were read.
        broken: those that could not be read.
        full: those with as many detections as are kept.
        of_clips: whether some were of videos or streams.
        max_det: most detections per image.
    """

    def __init__(self, say: Callable[[str], None], max_det: int) -> None:
        self._say, self.max_det = say, max_det
        self._clips: dict[int, _ClipCounts] = {}
        self.images = self.broken = self.full = 0
        self.of_clips = False

    def write(self, frame: Frame, detections: Detections) -> None:
        """Count a frame, print its line where it is an image or one is due, and close its file where it is open."""
        if frame.regions is not None:
            frame.regions.close()
        counts = None if frame.clip is None else self._of_clip(frame.clip)
        if detections.fault is not None:
            self.broken += 1
            self._say_broken(detections.fault, counts)
            return
        self.images += 1
        self.full += len(detections) == self.max_det
        if counts is None:
            self._say(f"{one_line(detections.source)}: {detections.summary()}")
            return
        counts.frames += 1
        counts.objects.update({each.name for each in detections})
        now = time.monotonic()
        if now - counts.said >= SECONDS:
            counts.said = now
            of = "" if counts.clip.frames is None else f" of {counts.clip.frames}"
            rate = counts.frames / (now - counts.began)
            self._say(f"{one_line(frame.name)}{of}: {detections.summary()} ({rate:.1f} frames per second)")

    def end_clip(self, clip: Clip) -> None:
        """Print what was found in a video or stream."""
        counts = self._clips.pop(id(clip), None)
        if counts is None:
            return
        named = ", ".join(f"{one_line(name)} in {count}" for name, count in counts.objects.most_common())
        lost = f", {counts.broken} more could not be read" if counts.broken else ""
        self._say(f"{one_line(clip.source)}: {counted(counts.frames, 'frame')}{lost}; {named or 'nothing found'}")

    def close(self) -> None:
        """Print what was found in videos and streams that did not end."""
        for counts in list(self._clips.values()):
            self.end_clip(counts.clip)

    def _of_clip(self, clip: Clip) -> _ClipCounts:
        self.of_clips = True
        return self._clips.setdefault(id(clip), _ClipCounts(clip))

    def _say_broken(self, fault: str, counts: _ClipCounts | None) -> None:
        if counts is not None:
            counts.broken += 1
        if counts is None or counts.broken <= MOST_NAMED:
            complain(f"Skipped: {fault}")

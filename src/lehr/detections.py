"""Detections of an image, typed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from lehr.errors import LehrError
from lehr.runtime.plain_text import one_line

if TYPE_CHECKING:
    import supervision

CLASS_NAME = "class_name"
"""Where supervision keeps class names, in the data of its detections."""
MAX_UNNAMED = 10_000
"""Classes that are named by their numbers at most."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One object.

    Attributes:
        xyxy: left, top, right and bottom, pixels of the original image.
        score: 0 to 1.
        class_id: index into the class names.
        name: the class name.
        track_id: the track that it belongs to; None where it belongs to none yet, or objects are not tracked.
    """

    xyxy: tuple[float, float, float, float]
    score: float
    class_id: int
    name: str
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects of one image, best first.

    Attributes:
        source: the image's file, or what else it came from.
        width: of the image, pixels.
        height: of the image, pixels.
        boxes: float32 (n, 4), xyxy, pixels of the original image.
        scores: float32 (n,), 0 to 1.
        classes: int64 (n,), index into `names`.
        names: the class names.
        fault: why the image could not be read, where broken images are skipped; it has no detections then, and 0 as
            width and height. None otherwise.
        track_ids: int64 (n,), the track that each object belongs to, below 0 where it belongs to none yet; None where
            objects are not tracked.
        frame: of a video, a camera or a stream: which of its frames the image is, from 0. None otherwise.
        time: of a video, a camera or a stream: seconds from its first frame. None otherwise.
    """

    source: str
    width: int
    height: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    fault: str | None = None
    track_ids: NDArray[np.int64] | None = None
    frame: int | None = None
    time: float | None = None

    @classmethod
    def missing(cls, source: str, names: tuple[str, ...], fault: str) -> Self:
        """Detections of an image that could not be read: none, in the image's place."""
        none = np.zeros(0, np.float32)
        return cls(source, 0, 0, none.reshape(0, 4), none, np.zeros(0, np.int64), names, fault)

    def __len__(self) -> int:
        """Count of objects."""
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        """The objects one by one, best first."""
        tracks = [None] * len(self) if self.track_ids is None else self.track_ids.tolist()
        rows = zip(self.boxes.tolist(), self.scores.tolist(), self.classes.tolist(), tracks, strict=True)
        for box, score, number, track in rows:
            followed = None if track is None or track < 0 else track
            yield Detection((box[0], box[1], box[2], box[3]), score, number, self.names[number], followed)

    def summary(self) -> str:
        """The count of objects of each class, for people, e.g. "2 cat, 1 dog"; "nothing" without any."""
        counts = np.bincount(self.classes, minlength=len(self.names)).tolist()
        named = zip(counts, self.names, strict=True)
        return ", ".join(f"{count} {one_line(name)}" for count, name in named if count) or "nothing"

    def as_dict(self) -> dict[str, Any]:
        """The image and its objects as JSON can hold them; with `fault` where the image could not be read."""
        return {
            **({} if self.fault is None else {"fault": self.fault}),
            "source": self.source,
            **({} if self.frame is None else {"frame": self.frame}),
            **({} if self.time is None else {"time": round(self.time, 6)}),
            "width": self.width,
            "height": self.height,
            "detections": [
                {
                    "xyxy": [round(side, 3) for side in each.xyxy],
                    "score": round(each.score, 6),
                    "class": each.class_id,
                    "name": each.name,
                    **({} if each.track_id is None else {"track": each.track_id}),
                }
                for each in self
            ],
        }

    def to_supervision(self) -> supervision.Detections:
        """The same as `supervision.Detections`, with class names in its data and tracks as its `tracker_id`.

        Raises:
            LehrError: the extra `supervision` is not installed.
        """
        try:
            import supervision
        except ImportError:
            raise LehrError("supervision is not installed: pip install 'lehr[supervision]'.") from None
        return supervision.Detections(
            xyxy=self.boxes.reshape(-1, 4),
            confidence=self.scores,
            class_id=self.classes.astype(int),
            tracker_id=None if self.track_ids is None else self.track_ids.astype(int),
            data={CLASS_NAME: np.array([self.names[number] for number in self.classes], dtype=str)},
        )

    @classmethod
    def from_supervision(
        cls,
        found: supervision.Detections,
        of: Detections | None = None,
        *,
        names: Sequence[str] | None = None,
        source: str = "",
        size: tuple[int, int] = (0, 0),
    ) -> Self:
        """Detections of `supervision.Detections`, best first; masks and other data are dropped.

        supervision keeps neither the image's name nor its size nor all class names: give the detections that these came
        from, or what is known of it.

        Args:
            found: of one image, in pixels; without confidence each scores 1, without classes each is of class 0.
            of: the detections of the same image that they came from, e.g. those that were tracked or filtered.
            names: the class names (unset: those of `of`, else those in the data of `found`).
            source: the image's file, or what else it came from (unset: that of `of`).
            size: width and height of the image, pixels (unset: those of `of`).

        Raises:
            LehrError: a class has no name in `names`, or a class has two names in the data.
        """
        classes = np.zeros(len(found), np.int64) if found.class_id is None else np.asarray(found.class_id, np.int64)
        scores = np.ones(len(found), np.float32) if found.confidence is None else found.confidence
        if names is None:
            names = _names_in(classes, found.data.get(CLASS_NAME)) if of is None else of.names
        if len(classes) and not 0 <= classes.min() <= classes.max() < len(names):
            lost = int(classes.min() if classes.min() < 0 else classes.max())
            raise LehrError(f"Detections of class {lost} cannot be named: there are {len(names)} class names, from 0.")
        order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
        return cls(
            source or ("" if of is None else of.source),
            size[0] or (0 if of is None else of.width),
            size[1] or (0 if of is None else of.height),
            np.asarray(found.xyxy, np.float32).reshape(-1, 4)[order],
            np.asarray(scores, np.float32)[order],
            classes[order],
            tuple(names),
            track_ids=None if found.tracker_id is None else np.asarray(found.tracker_id, np.int64)[order],
        )


def _names_in(classes: NDArray[np.int64], named: Any) -> tuple[str, ...]:
    """Class names by number, as the objects of an image have them; a number that none has stands for itself.

    Raises:
        LehrError: a class is below 0, has two names, or is beyond what a model has.
    """
    if not len(classes):
        return ()
    if classes.min() < 0 or classes.max() >= MAX_UNNAMED:
        raise LehrError(f"Detections of class {classes.max()} cannot be named: give `names`.")
    names = [str(number) for number in range(int(classes.max()) + 1)]
    said = classes if named is None else np.asarray(named)
    for number, name in zip(classes.tolist(), said.tolist(), strict=True):
        if names[number] not in (str(number), str(name)):
            raise LehrError(f"Class {number} is called both {names[number]!r} and {name!r}: give `names`.")
        names[number] = str(name)
    return tuple(names)

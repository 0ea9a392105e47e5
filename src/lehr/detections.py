"""Detections of an image, typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from lehr.errors import LehrError
from lehr.runtime.plain_text import one_line

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, slots=True)
class Detection:
    """One object.

    Attributes:
        xyxy: left, top, right and bottom, pixels of the original image.
        score: 0 to 1.
        class_id: index into the class names.
        name: the class name.
    """

    xyxy: tuple[float, float, float, float]
    score: float
    class_id: int
    name: str


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
    """

    source: str
    width: int
    height: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    fault: str | None = None

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
        for box, score, number in zip(self.boxes.tolist(), self.scores.tolist(), self.classes.tolist(), strict=True):
            yield Detection((box[0], box[1], box[2], box[3]), score, number, self.names[number])

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
            "width": self.width,
            "height": self.height,
            "detections": [
                {
                    "xyxy": [round(side, 3) for side in each.xyxy],
                    "score": round(each.score, 6),
                    "class": each.class_id,
                    "name": each.name,
                }
                for each in self
            ],
        }

    def to_supervision(self) -> supervision.Detections:
        """The same as `supervision.Detections`, with class names in its data.

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
            data={"class_name": np.array([self.names[number] for number in self.classes], dtype=str)},
        )

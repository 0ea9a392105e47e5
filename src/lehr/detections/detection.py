"""One object found in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.detections.familiar_names import OF_DETECTION, missing_attribute


@dataclass(frozen=True, slots=True)
class Detection:
    """One object.

    Attributes:
        xyxy: left, top, right and bottom, pixels of the original image.
        score: confidence, 0 to 1.
        class_id: index into the class names.
        name: the class name.
        track_id: the track that it belongs to; None if it belongs to none yet, or objects are not tracked.

    Examples:
        >>> Detection((10, 20, 110, 70), 0.875, 1, "dog")
        Detection(dog 0.88, xyxy=(10.0, 20.0, 110.0, 70.0))
    """

    xyxy: tuple[float, float, float, float]
    score: float
    class_id: int
    name: str
    track_id: int | None = None

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """Centre x, centre y, width and height, pixels."""
        x1, y1, x2, y2 = self.xyxy
        return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        _, _, width, height = self.xywh
        return width * height

    def __repr__(self) -> str:
        track = "" if self.track_id is None else f"#{self.track_id} "
        sides = ", ".join(f"{side:.1f}" for side in self.xyxy)
        return f"Detection({track}{self.name} {self.score:.2f}, xyxy=({sides}))"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(type(self), name, OF_DETECTION)

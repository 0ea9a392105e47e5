"""The objects of an image, typed: indexed, filtered, drawn, and handed on to other libraries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from lehr.detections.detection import Detection
from lehr.detections.familiar_names import OF_DETECTIONS, Boxes, missing_attribute
from lehr.detections.selection import Order, order_of, selected
from lehr.detections.wanted_classes import find_classes
from lehr.runtime.plain_text import as_json, one_line

if TYPE_CHECKING:
    import pandas
    import supervision


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections:
    """The objects of one image, best first.

    Indexing with a number gives a `Detection`; a slice, a mask or a list of numbers gives `Detections`.

    Attributes:
        source: the image's file, or what else it came from.
        width: of the image, pixels.
        height: of the image, pixels.
        boxes: float32 (n, 4), xyxy, pixels of the original image.
        scores: float32 (n,), 0 to 1.
        classes: int64 (n,), index into `names`.
        names: the class names.
        fault: why the image could not be read, if broken images are skipped; it has no detections then, and 0 as
            width and height. None otherwise.
        track_ids: int64 (n,), the track that each object belongs to, below 0 if it belongs to none yet; None if
            objects are not tracked.
        frame: of a video, a camera or a stream: the number of the frame, from 0. None otherwise.
        time: of a video, a camera or a stream: seconds from its first frame. None otherwise.
        image: uint8 (height, width, 3), RGB, if the pixels were given in memory, or belong to a frame of
            `Detector.stream`; None for image files, which `plot` reads again.

    Examples:
        >>> import numpy as np
        >>> boxes = np.array([[10, 20, 110, 70], [30, 5, 50, 45]], np.float32)
        >>> found = Detections("pets.jpg", 640, 480, boxes, np.array([0.9, 0.4]), np.array([1, 0]), ("cat", "dog"))
        >>> found
        Detections(2: 1 cat, 1 dog; pets.jpg, 640 x 480)
        >>> found[0]
        Detection(dog 0.90, xyxy=(10.0, 20.0, 110.0, 70.0))
        >>> len(found[found.scores > 0.5]), len(found.filter(classes="cat"))
        (1, 1)
        >>> [each.name for each in found.sorted("x")]
        ['dog', 'cat']
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
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if type(self.boxes) is np.ndarray:
            object.__setattr__(self, "boxes", self.boxes.view(Boxes))

    @classmethod
    def missing(cls, source: str, names: tuple[str, ...], fault: str) -> Self:
        """Return the detections of an image that could not be read: none, in the image's place."""
        none = np.zeros(0, np.float32)
        return cls(source, 0, 0, none.reshape(0, 4), none, np.zeros(0, np.int64), names, fault)

    def __len__(self) -> int:
        """Count of objects."""
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        """The objects one by one."""
        tracks = [None] * len(self) if self.track_ids is None else self.track_ids.tolist()
        rows = zip(self.boxes.tolist(), self.scores.tolist(), self.classes.tolist(), tracks, strict=True)
        for box, score, number, track in rows:
            followed = None if track is None or track < 0 else track
            yield Detection((box[0], box[1], box[2], box[3]), score, number, self.names[number], followed)

    @overload
    def __getitem__(self, which: int | np.integer[Any]) -> Detection: ...
    @overload
    def __getitem__(self, which: slice | Sequence[int] | Sequence[bool] | NDArray[Any]) -> Self: ...
    def __getitem__(self, which: Any) -> Detection | Self:
        """Return one object, or some of them.

        Args:
            which: a number, counted from the end if negative; or a slice, a mask of booleans, or a list of numbers.

        Raises:
            IndexError: there is no such object.
        """
        if isinstance(which, SupportsIndex) and not isinstance(which, bool | np.bool_ | np.ndarray):
            number = which.__index__()
            if not -len(self) <= number < len(self):
                raise IndexError(f"There are {len(self)} detections, and none of index {number}.")
            return next(iter(self._of(np.array([number % len(self)]))))
        return self._of(selected(which, len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        mine, others = self._compared(), other._compared()
        return all(np.array_equal(one, two) for one, two in zip(mine, others, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Detections({self._title()})"

    def filter(
        self, *, classes: Iterable[str | int] | str | int | None = None, conf: float = 0.0, min_area: float = 0.0
    ) -> Self:
        """Return the objects of some classes, from a score and an area upwards.

        Args:
            classes: names or numbers; None for all.
            conf: lowest score.
            min_area: smallest area of a box, square pixels.

        Raises:
            InputError: there is no such class.
        """
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        kept = (self.scores >= conf) & (sides[:, 0] * sides[:, 1] >= min_area)
        wanted = find_classes(classes, self.names)
        if wanted is not None:
            kept &= np.isin(self.classes, wanted)
        return self._of(np.flatnonzero(kept))

    def sorted(self, by: Order = "score", *, descending: bool | None = None) -> Self:
        """Return the objects in another order; equal ones keep theirs.

        Args:
            by: score, area, class, x (the left edge) or y (the upper edge).
            descending: whether the largest value comes first; None for score and area only.

        Raises:
            ValueError: there is no such order.
        """
        return self._of(order_of(by, self.boxes, self.scores, self.classes, descending))

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """The boxes, float32 (n, 4): left, top, right and bottom, pixels."""
        return np.asarray(self.boxes)

    @property
    def xywh(self) -> NDArray[np.float32]:
        """The boxes, float32 (n, 4): centre x, centre y, width and height, pixels."""
        boxes = self.xyxy
        return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), 1)

    @property
    def counts(self) -> dict[str, int]:
        """The count of objects of each class that was found, by name, in the order of the classes."""
        numbers = np.bincount(self.classes, minlength=len(self.names)).tolist()
        return {name: number for number, name in zip(numbers, self.names, strict=True) if number}

    def summary(self) -> str:
        """The count of objects of each class, for people, e.g. "2 cat, 1 dog"; "nothing" without any."""
        return ", ".join(f"{count} {one_line(name)}" for name, count in self.counts.items()) or "nothing"

    def plot(
        self, image: NDArray[np.uint8] | None = None, *, labels: bool = True, conf: bool = True
    ) -> NDArray[np.uint8]:
        """Draw the objects on a copy of their image.

        Args:
            image: uint8 (height, width, 3), RGB; None for the one that they were found in: kept if it was given in
                memory, read again if it is a file.
            labels: write the class name on each box.
            conf: write the score behind it.

        Returns:
            uint8 (height, width, 3), RGB. OpenCV wants BGR: `plot()[..., ::-1]`.

        Raises:
            LehrError: the image is neither kept nor a file that is still there; or it has another size.
        """
        from lehr.detections.annotate import annotate

        return annotate(self._pixels(image), self, labels=labels, scores=conf)

    def save(self, path: str | Path, image: NDArray[np.uint8] | None = None) -> Path:
        """Write the image with its objects drawn; returns the file.

        Args:
            path: ends with .jpg, .png or another format of Pillow; an existing file is replaced.
            image: as in `plot`.

        Raises:
            InputError: the file cannot be written.
            LehrError: as in `plot`.
        """
        from lehr.detections.image import save_image

        return save_image(self.plot(image), Path(path))

    def show(self, image: NDArray[np.uint8] | None = None) -> None:
        """Show the image with its objects drawn, in a notebook or in the system's viewer.

        Args:
            image: as in `plot`.

        Raises:
            LehrError: there is no viewer; or as in `plot`.
        """
        from lehr.detections.image import show_image

        show_image(self.plot(image))

    def to_list(self) -> list[dict[str, Any]]:
        """Return a dictionary per object: xyxy, score, class, name, and track if objects are tracked."""
        return [
            {
                "xyxy": [round(side, 3) for side in each.xyxy],
                "score": round(each.score, 6),
                "class": each.class_id,
                "name": each.name,
                **({} if each.track_id is None else {"track": each.track_id}),
            }
            for each in self
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the image and its objects as JSON can hold them; with `fault` if the image could not be read."""
        return {
            **({} if self.fault is None else {"fault": self.fault}),
            "source": self.source,
            **({} if self.frame is None else {"frame": self.frame}),
            **({} if self.time is None else {"time": round(self.time, 6)}),
            "width": self.width,
            "height": self.height,
            "detections": self.to_list(),
        }

    def to_json(self, indent: int | None = None) -> str:
        """Return the image and its objects as JSON, as `lehr predict --json` writes them.

        Args:
            indent: spaces per level; None for one line.
        """
        return as_json(self.as_dict(), indent)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table of pandas, one row per object: x1, y1, x2, y2, score, class, name, and track if tracked.

        Raises:
            LehrError: pandas is not installed.
        """
        from lehr.detections.conversion import to_pandas

        return to_pandas(self)

    def to_supervision(self) -> supervision.Detections:
        """Return the same as `supervision.Detections`, with class names in its data and tracks as its `tracker_id`.

        Raises:
            LehrError: the extra `supervision` is not installed.
        """
        from lehr.detections.conversion import to_supervision

        return to_supervision(self)

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
        """Make detections of `supervision.Detections`, best first; masks and other data are dropped.

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
        from lehr.detections.conversion import parts_of_supervision

        if names is None and of is not None:
            names = of.names
        parts = parts_of_supervision(found, names)
        return cls(
            source or ("" if of is None else of.source),
            size[0] or (0 if of is None else of.width),
            size[1] or (0 if of is None else of.height),
            parts.boxes,
            parts.scores,
            parts.classes,
            parts.names,
            track_ids=parts.track_ids,
            image=None if of is None else of.image,
        )

    def _repr_html_(self) -> str:
        from lehr.detections.html import html_of, thumbnail
        from lehr.errors import LehrError

        pixels = None
        try:
            pixels = thumbnail(self._pixels(None))
        except LehrError:
            pass  # a table is shown without its image
        else:
            from lehr.detections.annotate import annotate

            small = self.boxes * (pixels.shape[1] / max(self.width, 1))
            pixels = annotate(pixels, dataclasses.replace(self, boxes=small))
        return html_of(self._title(), list(self), pixels)

    def _title(self) -> str:
        """One line on the objects and their place."""
        if self.fault is not None:
            return f"not read: {one_line(self.fault)}"
        found = f"{len(self)}: {self.summary()}" if len(self) else "nothing found"
        place = one_line(self.source) + ("" if self.frame is None else f", frame {self.frame}")
        size = f"{self.width} x {self.height}" if self.width else ""
        return "; ".join(part for part in (found, ", ".join(filter(None, (place, size)))) if part)

    def _pixels(self, image: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """The pixels to draw on: those given, those kept, or those of the file."""
        from lehr.detections.image import pixels_of, require_size

        if image is None:
            image = self.image
        if image is None:
            return pixels_of(self.source, (self.width, self.height), self.frame)
        require_size(image, (self.width, self.height))
        return image

    def _of(self, chosen: NDArray[np.int64]) -> Self:
        """The objects of some indices, in their order."""
        return dataclasses.replace(
            self,
            boxes=self.boxes[chosen],
            scores=self.scores[chosen],
            classes=self.classes[chosen],
            track_ids=None if self.track_ids is None else self.track_ids[chosen],
        )

    def _compared(self) -> list[Any]:
        """The fields that decide whether two are equal: all except the pixels."""
        return [getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "image"]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(type(self), name, OF_DETECTIONS)

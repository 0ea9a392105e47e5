"""Detections as other libraries have them: supervision and pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lehr.errors import LehrError
from lehr.runtime.installing import how_to_install

if TYPE_CHECKING:
    import pandas
    import supervision

    from lehr.detections.detections import Detections

CLASS_NAME = "class_name"
"""Key under which supervision keeps class names, in the data of its detections."""
MAX_UNNAMED = 10_000
"""Largest count of classes that are named by their numbers."""


class Parts(NamedTuple):
    """Arrays of supervision's detections, best first, as those of `Detections`."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    track_ids: NDArray[np.int64] | None


def to_supervision(detections: Detections) -> supervision.Detections:
    """Make `supervision.Detections`, with class names in its data and tracks as its `tracker_id`.

    Raises:
        LehrError: the extra `supervision` is not installed.
    """
    try:
        import supervision
    except ImportError:
        raise LehrError(f"supervision is not installed. {how_to_install('supervision')}") from None
    tracks = detections.track_ids
    return supervision.Detections(
        xyxy=detections.xyxy.reshape(-1, 4),
        confidence=detections.scores,
        class_id=detections.classes.astype(int),
        tracker_id=None if tracks is None else tracks.astype(int),
        data={CLASS_NAME: np.array([detections.names[number] for number in detections.classes], dtype=str)},
    )


def to_pandas(detections: Detections) -> pandas.DataFrame:
    """Make a table of pandas, one row per object.

    Raises:
        LehrError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise LehrError("pandas is not installed: pip install pandas.") from None
    sides = dict(zip(("x1", "y1", "x2", "y2"), detections.xyxy.T, strict=True))
    tracks = detections.track_ids
    return pandas.DataFrame(
        {
            **sides,
            "score": detections.scores,
            "class": detections.classes,
            "name": [detections.names[number] for number in detections.classes],
            **({} if tracks is None else {"track": tracks}),
        }
    )


def parts_of_supervision(found: supervision.Detections, names: Sequence[str] | None) -> Parts:
    """Read `supervision.Detections`, best first.

    Args:
        found: of one image, in pixels.
        names: the class names; None for those in its data.

    Raises:
        LehrError: a class has no name in `names`, or a class has two names in the data.
    """
    classes = np.zeros(len(found), np.int64) if found.class_id is None else np.asarray(found.class_id, np.int64)
    given = np.ones(len(found), np.float32) if found.confidence is None else found.confidence
    scores = np.asarray(given, np.float32)
    if names is None:
        names = _names_in(classes, found.data.get(CLASS_NAME))
    if len(classes) and not 0 <= classes.min() <= classes.max() < len(names):
        lost = int(classes.min() if classes.min() < 0 else classes.max())
        raise LehrError(f"Detections of class {lost} cannot be named: there are {len(names)} class names, from 0.")
    order = np.argsort(-scores, kind="stable")
    return Parts(
        np.asarray(found.xyxy, np.float32).reshape(-1, 4)[order],
        scores[order],
        classes[order],
        tuple(names),
        None if found.tracker_id is None else np.asarray(found.tracker_id, np.int64)[order],
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

"""Drawing detections onto a copy of their image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lehr.detections.detection import Detection
from lehr.drawing.boxes import DrawnBox, class_colour, draw_boxes, drawable

if TYPE_CHECKING:
    from lehr.detections.detections import Detections


def annotate(
    image: NDArray[np.uint8], detections: Detections, *, labels: bool = True, scores: bool = True
) -> NDArray[np.uint8]:
    """Return a copy of an image with a box, the class name and the score of each detection.

    An object that is tracked has the number of its track before the name, and the colour of its track.

    Args:
        image: uint8 (height, width, 3), RGB.
        detections: of this image, in its pixels; the best are drawn on top.
        labels: write the class names.
        scores: write the scores.
    """
    canvas = np.array(image)
    best_on_top = np.argsort(-detections.scores, kind="stable")[::-1]
    draw_boxes(
        canvas,
        (
            DrawnBox(
                each.xyxy,
                _label(each, labels, scores),
                class_colour(each.class_id if each.track_id is None else each.track_id),
            )
            for each in detections[best_on_top]
        ),
    )
    return canvas


def _label(each: Detection, labels: bool, scores: bool) -> str:
    """The text on a box; empty for none."""
    track = "" if each.track_id is None else f"#{each.track_id}"
    name = drawable(each.name, each.class_id) if labels else ""
    return " ".join(filter(None, (track, name, f"{each.score:.2f}" if scores else "")))

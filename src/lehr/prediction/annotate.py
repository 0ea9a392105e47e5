"""Drawing detections onto a copy of their image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lehr.detections import Detections
from lehr.prediction.box_drawing import DrawnBox, class_colour, draw_boxes, drawable


def annotate(image: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """A copy of an image (h, w, 3), RGB, with a box, the class name and the score of each detection."""
    canvas = image.copy()
    best_on_top = reversed(list(detections))
    draw_boxes(
        canvas,
        (
            DrawnBox(each.xyxy, f"{drawable(each.name, each.class_id)} {each.score:.2f}", class_colour(each.class_id))
            for each in best_on_top
        ),
    )
    return canvas

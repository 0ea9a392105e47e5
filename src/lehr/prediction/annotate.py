"""Drawing detections onto a copy of their image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lehr.detections import Detections
from lehr.prediction.box_drawing import DrawnBox, class_colour, draw_boxes, drawable


def annotate(image: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """A copy of an image (h, w, 3), RGB, with a box, the class name and the score of each detection.

    An object that is followed has its track before them, and the colour of its track, which tells it from its like.
    """
    canvas = image.copy()
    best_on_top = reversed(list(detections))
    draw_boxes(
        canvas,
        (
            DrawnBox(
                each.xyxy,
                f"{'' if each.track_id is None else f'#{each.track_id} '}"
                f"{drawable(each.name, each.class_id)} {each.score:.2f}",
                class_colour(each.class_id if each.track_id is None else each.track_id),
            )
            for each in best_on_top
        ),
    )
    return canvas

"""Truth and detections of an image side by side, as one small JPEG: right ones solid and blue, mistakes dashed and red.

Line and label say what the colour says, so nobody needs to tell colours apart. Photographs are read as training reads
them; where one is missing, its boxes are drawn on grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.images.files import read_image
from lehr.data.images.jpeg import encode_jpeg
from lehr.data.images.problem import ImageFault
from lehr.drawing.boxes import FONT, Colour, DrawnBox, draw_boxes, drawable
from lehr.sample import Sample

RIGHT: Colour = (0, 114, 178)
WRONG: Colour = (213, 94, 0)
APART: Colour = (140, 140, 140)
"""Blue, vermilion and grey; the first two of Okabe & Ito, "Color Universal Design", 2008."""
PANEL = 420
"""Longer side of truth or detections, pixels."""
GAP, HEAD = 6, 18
"""Between the two, and above each for what it is, pixels."""
HEAD_SIZE, LABEL_SIZE = 0.42, 0.34
MAX_LABELS = 12
"""Right boxes in an image up to which they have labels, too; all others always have."""
MAX_BYTES = 40_000
GREY, PAPER, INK = 200, 255, (30, 30, 30)
PROPORTION = 0.02
"""Share by which a photograph's proportions may differ from those that it had in the run."""


@dataclass(frozen=True, slots=True)
class PanelBox:
    """A box of truth or detections.

    Attributes:
        xyxy: its sides, pixels of the image.
        class_id: index into the class names.
        mistake: what is wrong with it, e.g. missed; empty for nothing.
        score: of a detection; None for truth.
        apart: whether it counts neither as right nor as wrong.
    """

    xyxy: Sequence[float]
    class_id: int
    mistake: str = ""
    score: float | None = None
    apart: bool = False


def side_by_side(
    sample: Sample, truth: Sequence[PanelBox], detections: Sequence[PanelBox], names: Sequence[str]
) -> tuple[bytes, str]:
    """Draw an image twice, with what is there and with what was found.

    Args:
        sample: the image.
        truth: what is there.
        detections: what was found.
        names: the class names.

    Returns:
        A JPEG of at most 40,000 bytes; and what is the matter where the photograph is missing, else an empty text.
    """
    scale = PANEL / max(sample.width, sample.height)
    width, height = (max(1, round(side * scale)) for side in (sample.width, sample.height))
    photograph, trouble = _photograph(sample, width, height)
    sheet = np.full((height + HEAD, 2 * width + GAP, 3), PAPER, np.uint8)
    stretch = (width / sample.width, height / sample.height) * 2
    for left, title, boxes in ((0, "truth", truth), (width + GAP, "detections", detections)):
        panel = photograph.copy()
        draw_boxes(panel, _drawn(boxes, stretch, names), LABEL_SIZE)
        sheet[HEAD:, left : left + width] = panel
        cv2.putText(sheet, title, (left + 2, HEAD - 5), FONT, HEAD_SIZE, INK, 1, cv2.LINE_AA)
    return encode_jpeg(sheet, MAX_BYTES), trouble


def _photograph(sample: Sample, width: int, height: int) -> tuple[NDArray[np.uint8], str]:
    """An image at a size, or grey in its place, and why."""
    trouble = ""
    try:
        pixels = read_image(sample.path, least=(width, height))
    except ImageFault as fault:
        trouble = str(fault)
    else:
        proportion = pixels.shape[1] * sample.height / (pixels.shape[0] * sample.width)
        if abs(proportion - 1) <= PROPORTION:
            way = cv2.INTER_AREA if pixels.shape[1] > width else cv2.INTER_LINEAR
            return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8), ""
        trouble = f"{sample.path}: is not the image that it was in the run."
    return np.full((height, width, 3), GREY, np.uint8), trouble


def _drawn(boxes: Sequence[PanelBox], stretch: Sequence[float], names: Sequence[str]) -> list[DrawnBox]:
    """Boxes to draw, mistakes on top, and of these the best."""
    few = sum(not (box.mistake or box.apart) for box in boxes) <= MAX_LABELS
    order = sorted(boxes, key=lambda box: (bool(box.mistake), not box.apart, box.score or 0.0))
    return [
        DrawnBox(
            [side * factor for side, factor in zip(box.xyxy, stretch, strict=True)],
            _label(box, names) if few or box.mistake or box.apart else "",
            WRONG if box.mistake else APART if box.apart else RIGHT,
            dashed=bool(box.mistake),
            thickness=2 if box.mistake else 1,
        )
        for box in order
    ]


def _label(box: PanelBox, names: Sequence[str]) -> str:
    parts = [
        box.mistake or ("ignored" if box.apart else ""),
        drawable(names[box.class_id], box.class_id),
        "" if box.score is None else f"{box.score:.2f}",
    ]
    return " ".join(filter(None, parts))

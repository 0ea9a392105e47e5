"""Suspected label errors, ranked, with what is labelled and what was detected there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.analysis.record import DetectionRecord
from lehr.analysis.suspects import Suspect, SuspectKind, find_suspects
from lehr.data.images import ImageFault, read_image
from lehr.data.images.jpeg import encode_jpeg
from lehr.drawing.boxes import DrawnBox, draw_boxes, drawable
from lehr.report.pieces import Cell, Column, Gallery, Note, Piece, Section, Table, Thumbnail, number_cell
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample

MOST = 50
"""Suspects of a page."""
SIDE, MAX_BYTES = 288, 18_000
"""Longer side of a crop, pixels, and bytes that it may have."""
MARGIN, MIN_SIDE = 0.6, 64.0
"""Share of the boxes' size that a crop shows around them, and pixels that it shows at least."""
LABELLED, DETECTED = (255, 170, 0), (0, 200, 255)
"""Colours, RGB; detections are dashed too."""
CAPTION = (
    "The score is the probability that the label is wrong, by a model of label noise that is fitted to these "
    "detections: a class that is often confused, or often found where none is labelled, makes its disagreements less "
    "suspicious."
)
PLURAL = {
    SuspectKind.MISSING: "missing objects",
    SuspectKind.CLASS: "wrong classes",
    SuspectKind.PLACE: "misplaced boxes",
    SuspectKind.SPURIOUS: "spurious objects",
}
CROPS = "Solid: what is labelled. Dashed: what was detected."


def suspects_section(record: DetectionRecord, most: int = MOST) -> Section:
    """Build the section.

    Args:
        record: the detections and the objects.
        most: suspects that are listed.
    """
    found = find_suspects(record)
    return suspects_of(record.names, [(record.samples[suspect.image], suspect) for suspect in found[:most]], len(found))


def suspects_of(names: tuple[str, ...], listed: Sequence[tuple[Sample, Suspect]], total: int) -> Section:
    """Build the section of suspects that are known.

    Args:
        names: the class names.
        listed: image and suspect, the likeliest first.
        total: how many there are in all.
    """
    rows = [_row(rank, sample, suspect, names) for rank, (sample, suspect) in enumerate(listed, 1)]
    columns = [
        Column("rank", numeric=True),
        Column("image"),
        Column("suspected"),
        Column("why"),
        Column("box"),
        Column("score", numeric=True),
    ]
    none = "No label disagrees with a confident detection."
    pieces: list[Piece] = [Table("Suspected label errors", columns, rows, CAPTION, none)]
    crops, unread = _crops(names, listed)
    if crops:
        pieces.insert(0, Gallery("suspects", "Suspects, the likeliest first", crops, CROPS))
    if unread:
        pieces.append(Note(f"{counted(unread, 'suspect')} not shown: the image cannot be read where the data were."))
    return Section("suspects", "Suspected label errors", pieces, _answers(listed, total))


def _answers(listed: Sequence[tuple[Sample, Suspect]], total: int) -> list[str]:
    if not listed:
        return ["No label is suspected to be wrong."]
    kinds = Counter(suspect.kind for _, suspect in listed)
    shown = ", ".join(
        f"{kinds[kind]} {kind if kinds[kind] == 1 else PLURAL[kind]}" for kind in SuspectKind if kinds[kind]
    )
    images = len({sample.path for sample, _ in listed})
    which = f"The first {len(listed)} of {total} suspected" if total > len(listed) else f"{total} suspected"
    noun = "label error" if total == 1 else "label errors"
    return [f"{which} {noun} are in {counted(images, 'image')}: {shown}. Look at these first."]


def _row(rank: int, sample: Sample, suspect: Suspect, names: tuple[str, ...]) -> list[Cell]:
    return [
        number_cell(str(rank), rank),
        Cell(one_line(sample.path.name), folded=one_line(str(sample.path))),
        Cell(suspect.kind),
        Cell(suspect.reason(names)),
        Cell(", ".join(f"{value:.0f}" for value in suspect.box)),
        number_cell(f"{suspect.score:.2f}", suspect.score),
    ]


def _crops(names: tuple[str, ...], listed: Sequence[tuple[Sample, Suspect]]) -> tuple[list[Thumbnail], int]:
    """The crops, and how many could not be made; each image is decoded once."""
    order: dict[Path, list[int]] = {}
    for rank, (sample, _) in enumerate(listed):
        order.setdefault(sample.path, []).append(rank)
    crops: dict[int, Thumbnail] = {}
    for path, ranks in order.items():
        try:
            image = read_image(path)
        except ImageFault:
            continue
        for rank in ranks:
            crops[rank] = _crop(image, names, rank + 1, *listed[rank])
    return [crops[rank] for rank in sorted(crops)], len(listed) - len(crops)


def _crop(image: NDArray[np.uint8], names: tuple[str, ...], rank: int, sample: Sample, suspect: Suspect) -> Thumbnail:
    left, top, right, bottom = _window(suspect, image.shape[1], image.shape[0])
    scale = SIDE / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    resized = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    canvas: NDArray[np.uint8] = np.ascontiguousarray(resized, np.uint8)
    drawn = []
    if suspect.class_id is not None:
        drawn.append((suspect.box, suspect.class_id, LABELLED, False))
    if suspect.found_box is not None and suspect.found_class is not None:
        drawn.append((suspect.found_box, suspect.found_class, DETECTED, True))
    draw_boxes(
        canvas,
        [
            DrawnBox(
                [(box[0] - left) * scale, (box[1] - top) * scale, (box[2] - left) * scale, (box[3] - top) * scale],
                drawable(names[class_id], class_id) + (f" {suspect.confidence:.2f}" if dashed else ""),
                colour,
                dashed,
            )
            for box, class_id, colour, dashed in drawn
        ],
    )
    classes = dict.fromkeys(names[c] for c in (suspect.class_id, suspect.found_class) if c is not None)
    reason = suspect.reason(names)
    return Thumbnail(
        encode_jpeg(canvas, MAX_BYTES),
        f"{suspect.kind}: {reason}",
        f"{rank}. {one_line(sample.path.name)}",
        f"{suspect.kind}, score {suspect.score:.2f}: {reason}.",
        [f"kind: {suspect.kind}", *(f"class: {one_line(name)}" for name in classes)],
    )


def _window(suspect: Suspect, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what a crop shows, whole pixels inside the image."""
    boxes = np.array([suspect.box, *([] if suspect.found_box is None else [suspect.found_box])])
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    half = np.maximum((high - low) * (0.5 + MARGIN), MIN_SIDE / 2)
    centre = np.clip((low + high) / 2, 0, (width, height))
    left, top = np.clip(np.floor(centre - half), 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(centre + half), (left + 1, top + 1), (width, height)).astype(int).tolist()
    return left, top, right, bottom

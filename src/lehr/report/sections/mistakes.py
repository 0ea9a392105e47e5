"""Mistakes of a detector: how many of each kind, what fixing each would give, and the images that are worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.analysis.mistakes import KINDS, MEANINGS, Kind, Mistake, Mistakes
from lehr.analysis.record import DetectionRecord
from lehr.report.mistake_images import PanelBox, side_by_side
from lehr.report.pieces import (
    Cell,
    Column,
    Gallery,
    Matrix,
    Note,
    Piece,
    Section,
    Table,
    Thumbnail,
    number_cell,
)
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line

MAX_IMAGES = 40
"""Images of the gallery at most, of at most 40,000 bytes each."""
OF_EACH_KIND = 5
"""Images that are worst in each kind of mistake, which the gallery has even if others are worse over all."""
MAX_CLASSES = 80
"""Classes with most mistakes that the table of classes has."""
WITHOUT_DETECTION = (Kind.LOCALISATION, Kind.CLASS, Kind.MISSED)
"""Kinds of mistakes that leave the object without a right detection."""
MAX_WRONG = 40
"""False positives that are drawn on an image, the best: more would hide it."""
MAX_TAGS = 12
"""Classes of an image that it can be filtered by."""


def mistakes_section(record: DetectionRecord, mistakes: Mistakes, gains: Mapping[Kind, float] | None = None) -> Section:
    """Build the section.

    Args:
        record: the detections and the objects.
        mistakes: of these.
        gains: what fixing all mistakes of a kind would add to AP at their overlap, 0 to 1; None if not known.
    """
    pieces: list[Piece] = [_kinds(mistakes, gains)]
    if len(mistakes):
        pieces.append(_classes(record.names, mistakes))
    pieces += _gallery(record, mistakes)
    return Section("mistakes", "Mistakes", pieces, mistakes_answers(record, mistakes, gains))


def mistakes_answers(
    record: DetectionRecord, mistakes: Mistakes, gains: Mapping[Kind, float] | None = None
) -> list[str]:
    """Say in sentences what the mistakes show.

    Args:
        record: the detections and the objects.
        mistakes: of these.
        gains: what fixing all mistakes of a kind would add to AP; None if not known.
    """
    counts, images = mistakes.counts(), len(np.unique(mistakes.images))
    missed = counts[Kind.MISSED]
    answers = [
        f"At confidence {mistakes.confidence:.2f} and above: {counted(len(mistakes.right), 'right detection')}, "
        f"{counted(len(mistakes) - missed, 'false positive')} and {counted(missed, 'missed object')}, the mistakes on "
        f"{images} of {counted(len(record.samples), 'image')}."
    ]
    if gains:
        kind = max(gains, key=lambda each: gains[each])
        if gains[kind] > 0:
            answers.append(
                f"Fixing all mistakes of the kind '{kind}' ({MEANINGS[kind]}) would give most: +{gains[kind]:.3f} "
                f"{_metric(mistakes)}."
            )
    return answers


def worst_images(mistakes: Mistakes, most: int = MAX_IMAGES, of_each_kind: int = OF_EACH_KIND) -> list[int]:
    """Choose the images to look at, the worst first: those worst in each kind, and then those worst over all.

    An image is as bad as the sum of the scores of its false positives and the number of its missed objects.

    Args:
        mistakes: of a split.
        most: images at most.
        of_each_kind: images that are chosen for each kind.
    """
    if not len(mistakes):
        return []
    weights = np.where(np.isnan(mistakes.scores), 1.0, mistakes.scores)
    images = int(mistakes.images.max()) + 1
    total = _sums(mistakes.images, weights, images)
    chosen: set[int] = set()
    for kind in range(len(KINDS)):
        own = mistakes.kinds == kind
        chosen.update(_largest(_sums(mistakes.images[own], weights[own], images))[:of_each_kind])
    for image in _largest(total):
        if len(chosen) >= most:
            break
        chosen.add(image)
    return sorted(chosen, key=lambda image: (-total[image], image))[:most]


def _sums(images: NDArray[np.int64], weights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Add up weights image by image, float64 (count,)."""
    return np.bincount(images, weights, count).astype(np.float64)


def _largest(weights: NDArray[np.float64]) -> list[int]:
    """Return the indices of weights above 0, largest first."""
    order = np.argsort(-weights, kind="stable")
    largest: list[int] = order[weights[order] > 0].tolist()
    return largest


def _kinds(mistakes: Mistakes, gains: Mapping[Kind, float] | None) -> Table:
    columns = [Column("kind"), Column("what it is"), Column("count", True), Column("share", True)]
    if gains is not None:
        columns.append(Column(f"{_metric(mistakes)} if fixed", True))
    rows = []
    for kind, number in mistakes.counts().items():
        row = [
            Cell(kind.value),
            Cell(MEANINGS[kind]),
            number_cell(str(number), number),
            number_cell(f"{100 * number / len(mistakes):.0f}%" if len(mistakes) else "-", number),
        ]
        if gains is not None:
            gain = gains.get(kind)
            row.append(number_cell("-" if gain is None else f"{gain:+.3f}", gain))
        rows.append(row)
    caption = (
        f"Detections of confidence {mistakes.confidence:.2f} and above; right from an IoU of {mistakes.iou:g} on, "
        f"background up to {mistakes.background:g}. Each mistake is of one kind."
    )
    if gains is not None:
        caption += (
            f" Last column: what {_metric(mistakes)} over all detections would gain if all mistakes of that kind alone "
            "were fixed (TIDE, Bolya et al., 2020); the gains do not add up."
        )
    return Table("Kinds of mistakes", columns, rows, caption)


def _classes(names: Sequence[str], mistakes: Mistakes) -> Matrix:
    counts = mistakes.counts_by_class(len(names))
    worst = _largest(counts.sum(1).astype(np.float64))
    caption = "Of false positives the class that was detected, of missed objects their own; most mistakes first."
    if len(worst) > MAX_CLASSES:
        caption += f" The {MAX_CLASSES} of {len(worst)} classes with most mistakes."
    shown = worst[:MAX_CLASSES]
    return Matrix(
        "mistakes-by-class",
        "Mistakes by class",
        [names[index] for index in shown],
        [kind.value for kind in KINDS],
        counts[shown].tolist(),
        "class",
        "kind of mistake",
        [[str(number) for number in row] for row in counts[shown].tolist()],
        caption,
    )


def _gallery(record: DetectionRecord, mistakes: Mistakes) -> list[Piece]:
    thumbnails, troubles = [], []
    for image in worst_images(mistakes):
        found = mistakes.of_image(image)
        truth, detections = panel_boxes(record, mistakes, image, found)
        sample = record.samples[image]
        jpeg, trouble = side_by_side(sample, truth, detections, record.names)
        if trouble:
            troubles.append(trouble)
        thumbnails.append(_thumbnail(record, image, found, jpeg, "; photograph missing" if trouble else ""))
    caption = (
        "Left what is labelled, right what was detected. Solid blue: right. Dashed red, with the kind of mistake: "
        "wrong, or not found. Grey: ignored. The filters show images that have a mistake of the kind, and one of the "
        "class."
    )
    empty = f"No mistake at confidence {mistakes.confidence:.2f} and above."
    pieces: list[Piece] = [Gallery("worst-images", "The worst images", thumbnails, caption, empty)]
    if troubles:
        pieces.append(
            Note(
                f"{len(troubles)} of {counted(len(thumbnails), 'photograph')} could not be read, so their boxes are "
                f"drawn on grey. {one_line(troubles[0])}"
            )
        )
    return pieces


def _thumbnail(record: DetectionRecord, image: int, found: Sequence[Mistake], jpeg: bytes, trouble: str) -> Thumbnail:
    sample = record.samples[image]
    kinds = Counter(mistake.kind for mistake in found)
    classes = Counter(mistake.class_id for mistake in found)
    classes.update(
        int(sample.classes[mistake.object])
        for mistake in found
        if mistake.kind is Kind.CLASS and mistake.object is not None
    )
    said = ", ".join(f"{kinds[kind]} {kind.value}" for kind in KINDS if kinds[kind])
    drawn = f"; the {MAX_WRONG} best false positives are drawn" if len(found) - kinds[Kind.MISSED] > MAX_WRONG else ""
    names = [record.names[index] for index, _ in classes.most_common(MAX_TAGS)]
    name = one_line(sample.path.name)
    return Thumbnail(
        jpeg,
        f"Truth and detections of {name}: {said}.",
        name,
        f"{said}{drawn}{trouble}",
        [*(f"kind: {kind.value}" for kind in KINDS if kinds[kind]), *(f"class: {one_line(name)}" for name in names)],
    )


def panel_boxes(
    record: DetectionRecord, mistakes: Mistakes, image: int, found: Sequence[Mistake]
) -> tuple[list[PanelBox], list[PanelBox]]:
    """Return the boxes of an image's truth, and of its detections from the mistakes' confidence on, best first.

    Of the false positives it returns the 40 best.

    Args:
        record: the detections and the objects.
        mistakes: of these.
        image: index of the image.
        found: its mistakes.
    """
    sample, images = record.samples[image], record.detections[:, 0]
    right = mistakes.right[images[mistakes.right[:, 0]] == image]
    taken = set(right[:, 1].tolist())
    lost = {mistake.object: mistake.kind.value for mistake in reversed(found) if mistake.kind in WITHOUT_DETECTION}
    truth = []
    for index, (box, number) in enumerate(zip(sample.boxes.tolist(), sample.classes.tolist(), strict=True)):
        apart = sample.difficult is not None and bool(sample.difficult[index])
        truth.append(PanelBox(box, number, "" if apart or index in taken else lost.get(index, ""), apart=apart))
    ignored = zip(sample.ignored.boxes.tolist(), sample.ignored.classes.tolist(), strict=True)
    truth += [PanelBox(box, number, apart=True) for box, number in ignored]

    kinds = {mistake.detection: mistake.kind.value for mistake in found if mistake.detection is not None}
    apart_rows = mistakes.ignored[images[mistakes.ignored] == image].tolist()
    best = sorted(kinds, key=lambda row: -record.detections[row, 5])[:MAX_WRONG]
    rows = sorted([*right[:, 0].tolist(), *best, *apart_rows], key=lambda row: -record.detections[row, 5])
    apart_set = set(apart_rows)
    detections = [
        PanelBox(
            record.detections[row, 1:5].tolist(),
            int(record.detections[row, 6]),
            kinds.get(row, ""),
            float(record.detections[row, 5]),
            row in apart_set,
        )
        for row in rows
    ]
    return truth, detections


def _metric(mistakes: Mistakes) -> str:
    """Return the metric that a kind's fixing is measured in, e.g. mAP50."""
    return f"mAP{100 * mistakes.iou:.0f}"

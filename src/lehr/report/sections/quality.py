"""Quality of a detector: precision and recall, confidence, sizes, confusion and calibration, for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.analysis.calibration import BINS, Calibration
from lehr.analysis.confusion import Confusion
from lehr.analysis.quality import IOUS, RECALLS, Quality
from lehr.evaluation.metrics import CONFIDENCES
from lehr.report.numbers import measured
from lehr.report.pieces import (
    Cell,
    Chart,
    Column,
    Marker,
    Matrix,
    Note,
    Piece,
    Section,
    Series,
    Table,
    number_cell,
)
from lehr.runtime.counted import counted

MAX_CURVES = 10
"""Classes that a chart has a line of; of more classes, those of the lowest average precision."""
MAX_MATRIX = 100
"""Classes up to which the whole confusion matrix is shown, in two tables up to `MAX_COUNTS`."""
MAX_COUNTS = 20
MAX_CONFUSED = 20
"""Pairs of classes in the list of those that are confused most."""
STEP = 10
"""A chart over confidence has every tenth of its points, 101 of them."""
OFTEN = 0.05
"""Share of a class's objects from which it is worth a sentence that they are taken for another class."""
FAR = 0.1
"""Expected calibration error from which it is worth a sentence."""
ALL = "all classes"


def quality_section(quality: Quality, confusion: Confusion) -> Section:
    """Build the section.

    Args:
        quality: curves, sizes, calibration.
        confusion: at the confidence of the best mean F1.
    """
    if not len(quality.present):
        note = "The split has no object, so precision, recall and average precision cannot be measured."
        return Section("quality", "Quality", [Note(note), *_calibration(quality.calibration)])
    pieces: list[Piece] = [
        _classes(quality),
        *_precision_recall(quality),
        *_over_confidence(quality),
        *_by_iou_and_size(quality),
        *_confusion(confusion),
        *_calibration(quality.calibration),
    ]
    return Section("quality", "Quality", pieces, _answers(quality, confusion))


def _answers(quality: Quality, confusion: Confusion) -> list[str]:
    """The result, in words."""
    at_best = quality.at_best()
    assert at_best is not None
    precision, recall, f1 = at_best
    answers = [
        f"mAP50-95 {measured('map', quality.map)}, mAP50 {measured('map', quality.map50)} on "
        f"{counted(quality.images, 'image')} with {counted(int(quality.instances.sum()), 'object')}.",
        f"F1 is best at a confidence of {quality.confidence:.2f} (lehr predict --conf {quality.confidence:.2f}): "
        f"precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}.",
    ]
    absent = len(quality.names) - len(quality.present)
    if absent:
        answers.append(f"{counted(absent, 'class')} without an object here: not measured.")
    if len(quality.present) > 1:
        average = quality.average_precision.mean(0)
        worst = min(quality.present.tolist(), key=lambda index: float(average[index]))
        answers.append(f"The weakest class is {quality.names[worst]}: mAP50-95 {average[worst]:.3f}.")
    confused = confusion.confused()
    if confused and confused[0][2] >= OFTEN * quality.instances[confused[0][0]]:
        truth, found, times = confused[0]
        answers.append(
            f"Taken for another class most often: {quality.names[truth]} for {quality.names[found]}, "
            f"{times} of {int(quality.instances[truth])} objects."
        )
    calibration = quality.calibration
    if calibration.error is not None and calibration.error >= FAR:
        filled = calibration.counts > 0
        surplus = float((calibration.counts * (calibration.scores - calibration.right))[filled].sum())
        answers.append(
            f"Scores say {'more' if surplus > 0 else 'less'} than they should: they are off by "
            f"{calibration.error:.2f} in the mean."
        )
    return answers


def _classes(quality: Quality) -> Table:
    """The table of classes."""
    average = quality.average_precision
    confidences, best = quality.best_confidences()
    f1 = quality.f1_at[:, quality.best]
    columns = [average.mean(0), average[0], quality.precision_at[:, quality.best], quality.recall_at[:, quality.best]]
    rows = []
    for index, name in enumerate(quality.names):
        known = quality.instances[index] > 0
        values = [*(float(column[index]) for column in columns), float(f1[index])]
        cells = [number_cell(f"{value:.3f}" if known else "-", value if known else None) for value in values]
        own = number_cell(f"{confidences[index]:.2f}" if known else "-", confidences[index] if known else None)
        top = number_cell(f"{best[index]:.3f}" if known else "-", float(best[index]) if known else None)
        rows.append(
            [Cell(name), number_cell(str(quality.instances[index]), int(quality.instances[index])), *cells, own, top]
        )
    heads = ("objects", "mAP50-95", "mAP50", "precision", "recall", "F1", "own confidence", "F1 there")
    caption = (
        f"Precision, recall and F1 at confidence {quality.confidence:.2f} and IoU 0.5. At its own confidence each "
        "class has its best F1. All detections that were kept count."
    )
    return Table("Classes", [Column("class"), *(Column(head, numeric=True) for head in heads)], rows, caption)


def _precision_recall(quality: Quality) -> list[Chart]:
    """Precision against recall: of classes, and of all at several IoUs."""
    shown, which = _shown(quality)
    overall = Series(f"{ALL}, mAP50 {measured('map', quality.map50)}", _list(RECALLS), _list(quality.mean_precision(0)))
    average = quality.average_precision[0]
    classes = [
        Series(f"{quality.names[i]}, {average[i]:.3f}", _list(RECALLS), _list(quality.precision[0, :, i]))
        for i in shown
    ]
    ious = [
        Series(
            f"IoU {iou:.2f}, {quality.mean_precision(index).mean():.3f}",
            _list(RECALLS),
            _list(quality.mean_precision(index)),
        )
        for index, iou in enumerate(IOUS)
        if index % 2 == 0 or iou in (0.75, 0.95)
    ]
    area = "The mean of a line's 101 points is the average precision next to its name, as COCO takes it."
    return [
        Chart(
            "precision-recall", "Precision and recall, IoU 0.5", "recall", "precision", [overall, *classes],
            "Precision at each recall, over all classes and of classes.",
            f"How many of the detections are right if so many of the objects are to be found. {area}{which}",
            y_range=(0, 1.02),
        ),
        Chart(
            "precision-recall-iou", "Precision and recall by IoU", "recall", "precision", ious,
            "Precision at each recall, the mean over the classes, at several IoUs.",
            f"Where the lines are far apart, objects are found but their boxes fit badly. {area}", y_range=(0, 1.02),
        ),
    ]  # fmt: skip


def _over_confidence(quality: Quality) -> list[Chart]:
    """Precision, recall and F1 against confidence, over all classes; F1 of classes too."""
    x, present = _list(CONFIDENCES[::STEP]), quality.present
    columns = {"precision": quality.precision_at, "recall": quality.recall_at, "F1": quality.f1_at}
    overall = [Series(name, x, _list(values[present].mean(0)[::STEP])) for name, values in columns.items()]
    marker = [Marker(quality.confidence, f"best F1, {quality.confidence:.2f}")]
    charts = [
        Chart(
            "confidence", "Precision, recall and F1 by confidence", "confidence", "share", overall,
            "Precision, recall and F1, the mean over the classes, at each confidence.",
            "What is right among detections from a confidence on, and how many of the objects these find. IoU 0.5.",
            markers=marker, y_range=(0, 1.02),
        )
    ]  # fmt: skip
    if len(quality.names) == 1:
        return charts
    shown, which = _shown(quality)
    for name, values in columns.items():
        lines = [Series(quality.names[i], x, _list(values[i, ::STEP])) for i in shown]
        mean = Series(ALL, x, _list(values[present].mean(0)[::STEP]))
        charts.append(
            Chart(
                f"confidence-{name.lower()}", f"{name.capitalize()} of classes by confidence", "confidence", name,
                [mean, *lines], f"{name} of classes at each confidence.",
                f"IoU 0.5; 0 without detections.{which}", markers=marker, y_range=(0, 1.02),
            )
        )  # fmt: skip
    return charts


def _by_iou_and_size(quality: Quality) -> list[Piece]:
    """Average precision by IoU, and by the size of objects."""
    means = quality.average_precision[:, quality.present].mean(1)
    rows = [
        [
            Cell(size.size),
            number_cell(str(size.instances), size.instances),
            *(number_cell(measured("map", value), value) for value in (size.map, size.map50, size.recall)),
        ]
        for size in quality.sizes
    ]
    columns = [Column("size"), *(Column(name, numeric=True) for name in ("objects", "mAP50-95", "mAP50", "recall"))]
    sizes = "Small: below 32x32 pixels of the image; large: 96x96 and above. Recall is the mean over IoU 0.50 to 0.95."
    return [
        Chart(
            "average-precision-iou", "Average precision by IoU", "IoU", "AP",
            [Series(ALL, list(range(len(IOUS))), _list(means))],
            "Average precision, the mean over the classes, at each IoU from 0.50 to 0.95.",
            "How well boxes must fit to count as right, and the average precision then; the mean of all is mAP50-95.",
            draw="bars", y_range=(0, 1), labels=[f"{iou:.2f}" for iou in IOUS],
        ),
        Table("Size of objects", columns, rows, sizes),
    ]  # fmt: skip


def _confusion(confusion: Confusion) -> list[Piece]:
    """The confusion matrix, as counts and shares; of many classes, the pairs that are confused most."""
    names = [*confusion.names, "nothing"]
    at = f"Detections from confidence {confusion.confidence:.2f} on, IoU {confusion.iou:g}."
    how = (
        f"{at} A row is what is labelled, a column what was detected there: the last column are objects that were "
        "missed, the last row detections if nothing is labelled."
    )
    pieces: list[Piece] = []
    if len(confusion.names) <= MAX_MATRIX:
        shares = [[None if np.isnan(value) else value for value in row] for row in confusion.shares.tolist()]
        counts = confusion.counts.tolist()
        many = len(confusion.names) > MAX_COUNTS
        texts = [
            ["" if not value else f"{value:.2f}".lstrip("0") if value < 1 else "1" for value in row] for row in shares
        ]
        pieces.append(
            Matrix(
                "confusion-shares", "Confusion matrix, shares of a row", names, names, shares, "labelled", "detected",
                texts=texts, caption=how,
            )
        )  # fmt: skip
        if not many:
            pieces.append(
                Matrix(
                    "confusion-counts", "Confusion matrix, counts", names, names, _within_rows(confusion.counts),
                    "labelled", "detected", texts=[[str(value) if value else "" for value in row] for row in counts],
                    caption=f"{at} Shaded by its share of the row.",
                )
            )  # fmt: skip
    rows = [
        [
            Cell(confusion.names[truth]),
            Cell(confusion.names[found]),
            number_cell(str(times), times),
            number_cell(f"{confusion.shares[truth, found]:.1%}", float(confusion.shares[truth, found])),
        ]
        for truth, found, times in confusion.confused()[:MAX_CONFUSED]
    ]
    columns = [Column("labelled"), Column("detected"), Column("objects", numeric=True), Column("of all", numeric=True)]
    if len(confusion.names) > 1:
        pieces.append(Table("Confused most", columns, rows, at, empty="No class was taken for another."))
    return pieces


def _share(value: float | None) -> str:
    """A share as a narrow cell has it: .07, 1; empty for none."""
    return "" if not value else f"{value:.2f}".lstrip("0").replace("1.00", "1")


def _within_rows(counts: NDArray[np.int64]) -> list[list[float | None]]:
    """Counts scaled so that the largest of each row is 1, for their shades."""
    top = np.maximum(counts.max(1, keepdims=True), 1)
    scaled: list[list[float | None]] = (counts / top).tolist()
    return scaled


def _calibration(calibration: Calibration) -> list[Piece]:
    """Scores against the share of right detections."""
    if calibration.error is None:
        return [Note("Nothing was detected, so there is no calibration to show.")]
    some = np.flatnonzero(calibration.counts)
    right = Series("detections", _list(calibration.scores[some]), _list(calibration.right[some]))
    ideal = Series("perfect calibration", [0.0, 1.0], [0.0, 1.0], dashed=True)
    labels = [f"{index / BINS:.1f} to {(index + 1) / BINS:.1f}" for index in range(BINS)]
    return [
        Chart(
            "calibration", "Calibration", "score, the mean of a tenth", "share of right detections", [right, ideal],
            "Share of right detections at each score, next to the diagonal.",
            f"Below the dashed line, scores promise too much. They are off by {calibration.error:.3f} in the mean over "
            "all detections (expected calibration error), most of which have a low score.",
            y_range=(0, 1.02),
        ),
        Chart(
            "score-counts", "Detections by score", "score", "detections",
            [Series("detections", list(range(BINS)), [float(value) or None for value in calibration.counts.tolist()])],
            "Detections in each tenth of the scores.", "How many detections each point of the calibration stands for.",
            draw="bars", log_y=True, labels=labels,
        ),
    ]  # fmt: skip


def _shown(quality: Quality) -> tuple[list[int], str]:
    """The classes that charts have a line of, and a sentence on the others."""
    present = quality.present.tolist()
    if len(present) == 1:
        return [], ""
    average = quality.average_precision.mean(0)
    worst = sorted(present, key=lambda index: float(average[index]))[:MAX_CURVES]
    which = f" Lines of the {MAX_CURVES} weakest classes of {len(present)}." if len(present) > MAX_CURVES else ""
    return sorted(worst), which


def _list(values: NDArray[np.float64] | Sequence[float]) -> list[float]:
    return [round(float(value), 6) for value in values]

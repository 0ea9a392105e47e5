"""The data of a run: classes, sizes, positions and faults, and training batches as the model saw them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lehr.analysis.data_summary import (
    DATA_SUMMARY,
    GRID,
    RATIO_STEPS,
    SIDE_STEPS,
    DataSummary,
    SplitSummary,
    half_octaves,
    load_data_summary,
)
from lehr.checkpoint.run_folder import BATCH_WITHOUT_MOSAIC, FIRST_BATCH, MAX_SHEET, MIDDLE_BATCH, PLOTS
from lehr.data.faults import KINDS
from lehr.data.images.files import decode_image
from lehr.data.images.problem import ImageFault
from lehr.drawing.contact_sheet import MAX_SIDE
from lehr.errors import InputError
from lehr.report.pieces import (
    Cell,
    Chart,
    Column,
    Gallery,
    Matrix,
    Note,
    Piece,
    Section,
    Series,
    Table,
    Thumbnail,
    number_cell,
)
from lehr.runtime.counted import counted
from lehr.runtime.reading import read_file

SPLITS = {"train": "training", "val": "validation", "test": "test"}
"""Splits in words."""
SHEETS = {
    FIRST_BATCH: ("First batch", "the first of the run"),
    MIDDLE_BATCH: ("Middle of the run", "from the middle of the run"),
    BATCH_WITHOUT_MOSAIC: ("Without mosaic", "the first after mosaic closed"),
}
JPEG = b"\xff\xd8\xff"
MAX_LISTED = 5
"""Names that a sentence lists."""
FINEST_STRIDE = 8
WORTH_SAYING = 0.01
"""Share of the objects from which it is said that they are small."""


def data_section(folder: Path) -> Section | None:
    """Build the section from what a run left in its folder; None if it left nothing.

    Args:
        folder: the run's folder.
    """
    pieces: list[Piece] = []
    answers: list[str] = []
    try:
        summary = load_data_summary(folder / DATA_SUMMARY)
    except InputError as error:
        pieces.append(Note(f"{error} The numbers of the data are missing here."))
        summary = None
    if summary is not None:
        answers = data_answers(summary)
        pieces += data_pieces(summary)
    sheets = _sheets(folder)
    if sheets:
        caption = (
            "The first images of a batch after augmentation, with the boxes that the loss was computed from; at "
            "most 16 of them. Look for boxes that do not fit, and for images that no longer look like yours."
        )
        pieces.append(Gallery("train-batches", "Training batches as the model saw them", sheets, caption))
    return Section("data", "Data", pieces, answers) if pieces else None


def data_pieces(summary: DataSummary) -> list[Piece]:
    """Build tables and charts of a summary."""
    pieces: list[Piece] = [_class_chart(summary), _class_table(summary), _sides(summary)]
    if any(split.points for split in summary.splits.values()):
        pieces.append(_points(summary))
    pieces.append(_ratios(summary))
    pieces += [_positions(name, split) for name, split in summary.splits.items() if name == "train"]
    pieces.append(_faults(summary))
    return pieces


def data_answers(summary: DataSummary) -> list[str]:
    """Say in sentences what the numbers show."""
    splits, names = summary.splits, summary.names
    parts = [
        f"{counted(split.images, 'image')} with {counted(split.instances, 'object')} for {_word(name)}"
        for name, split in splits.items()
    ]
    answers = [f"{counted(len(names), 'class')}; {'; '.join(parts)}."]
    for name, split in splits.items():
        if missing := [names[index] for index, objects in enumerate(split.objects) if not objects]:
            answers.append(f"No object in the {_word(name)} split: {_listed(missing)}.")
    train = splits.get("train")
    if train is not None and train.instances:
        answers += _train_answers(summary, train)
    errors = sum(fault.count for fault in summary.faults if fault.severity == "error")
    if errors:
        answers.append(f"{counted(errors, 'error')} in the data; the table of faults says which.")
    return answers


def _train_answers(summary: DataSummary, train: SplitSummary) -> list[str]:
    answers = []
    present = sorted((objects, name) for objects, name in zip(train.objects, summary.names, strict=True) if objects)
    (rarest, rare), (most, frequent) = present[0], present[-1]
    if most >= 10 * rarest:
        answers.append(f"Classes are uneven: {frequent} has {most / rarest:.0f} times the objects of {rare}.")
    if train.background:
        answers.append(f"{_percent(train.background, train.images)} of the training images have no object.")
    if train.below_stride >= WORTH_SAYING * train.instances:
        answers.append(
            f"{_percent(train.below_stride, train.instances)} of the training objects are less than {FINEST_STRIDE} "
            f"pixels wide or high at {summary.imgsz} pixels, less than a cell of the finest feature map."
        )
    if summary.anchors is not None:
        answers.append(
            f"An anchor answers for {_percent(summary.anchors.bpr, 1)} of the training objects: no side more than "
            f"{summary.anchors.threshold:g} times the other's (best possible recall)."
        )
    return answers


def _class_chart(summary: DataSummary) -> Chart:
    order = _by_frequency(summary)
    return Chart(
        "class-counts",
        "Objects of each class",
        "class",
        "objects",
        [
            Series(_word(name), range(len(order)), [split.objects[index] for index in order])
            for name, split in summary.splits.items()
        ],
        "Bars of the number of objects of each class, most frequent in training first.",
        "Rare classes are learned last; a class without objects in a split is not measured there.",
        draw="bars",
        labels=[summary.names[index] for index in order],
    )


def _class_table(summary: DataSummary) -> Table:
    columns, order = [Column("class")], _by_frequency(summary)
    for name in summary.splits:
        columns += [Column(f"{_word(name)} objects", True), Column("images", True)]
        if name == "train":
            columns += [Column("share", True), Column("side, pixels", True)]
    rows = []
    for index in order:
        row = [Cell(summary.names[index])]
        for name, split in summary.splits.items():
            objects, images, side = (each[index] for each in (split.objects, split.images_with, split.typical_sides))
            row += [number_cell(str(objects), objects), number_cell(str(images), images)]
            if name == "train":
                row.append(number_cell(_percent(objects, split.instances), objects))
                row.append(number_cell(f"{side:.0f}" if objects else "-", side if objects else None))
        rows.append(row)
    caption = (
        "Images: those with an object of the class. Share: of the split's objects. Side: median square root of the "
        f"objects' area at {summary.imgsz} pixels."
    )
    return Table("Classes", columns, rows, caption)


def _sides(summary: DataSummary) -> Chart:
    first, last = _filled([split.sides for split in summary.splits.values()])
    return Chart(
        "box-sizes",
        "Sizes of objects",
        f"side (√area) at {summary.imgsz} pixels, pixels",
        "share of the objects, %",
        _shares(summary, {name: split.sides[first:last] for name, split in summary.splits.items()}),
        "Bars of the share of the objects of each size, training and validation side by side.",
        f"An object of less than {FINEST_STRIDE} pixels is smaller than a cell of the finest feature map. Where the "
        "splits differ, so do their images.",
        draw="bars",
        labels=[f"{middle:.2g}" if middle < 10 else f"{middle:.0f}" for middle in half_octaves(0, SIDE_STEPS - 1)][
            first:last
        ],
    )


def _points(summary: DataSummary) -> Chart:
    series = [_xy(_word(name), split.points) for name, split in summary.splits.items() if split.points]
    alt = "Points of the width and height of objects"
    caption = f"At most {counted(600, 'object')} of a split, spread evenly over it, at {summary.imgsz} pixels."
    if summary.anchors is not None:
        series += [
            _xy(f"anchors of level {number}", level) for number, level in enumerate(summary.anchors.levels, 1) if level
        ]
        alt += ", with the anchors over them"
        caption += " Objects far from every anchor are learned by none."
    return Chart(
        "widths-heights",
        "Widths and heights, and the anchors" if summary.anchors is not None else "Widths and heights",
        "width, pixels",
        "height, pixels",
        series,
        f"{alt}.",
        caption,
        draw="points",
        log_x=True,
        log_y=True,
    )


def _ratios(summary: DataSummary) -> Chart:
    middles = half_octaves(-RATIO_STEPS, RATIO_STEPS)
    return Chart(
        "aspect-ratios",
        "Aspect ratios",
        "width / height",
        "share of the objects, %",
        _shares(summary, {name: split.ratios for name, split in summary.splits.items()}),
        "Bars of the share of the objects by width over height, training and validation side by side.",
        "1 is a square, 2 twice as wide as high. The first and the last bar hold what is beyond them, too.",
        draw="bars",
        labels=[f"{middle:.2g}" for middle in middles],
    )


def _positions(name: str, split: SplitSummary) -> Matrix:
    percent = [f"{100 * cell // GRID}" for cell in range(GRID)]
    total = max(1, split.instances)
    return Matrix(
        "positions",
        f"Positions of objects, {_word(name)} split",
        percent,
        percent,
        [[100 * cell / total for cell in row] for row in split.positions],
        "% from the top",
        "% from the left",
        caption="Share of the objects, %, whose centre is in each twentieth of the width and height of its image: the "
        "stronger the colour, the more.",
        heat=True,
    )


def _faults(summary: DataSummary) -> Table:
    rows = []
    for fault in summary.faults:
        known = KINDS.get(fault.kind)
        means, remedy = (fault.kind, "") if known is None else (known.means, f"{known.remedy}.")
        rows.append(
            [
                Cell(fault.severity, mark="bad" if fault.severity == "error" else ""),
                number_cell(str(fault.count), fault.count),
                Cell(means, small=fault.kind),
                Cell(remedy),
                Cell(f"first {len(fault.examples)}", folded="\n".join(fault.examples)) if fault.examples else Cell(""),
            ]
        )
    columns = [Column("severity"), Column("count", True), Column("fault"), Column("what to do"), Column("examples")]
    caption = "lehr data check lists every one of them." if rows else ""
    return Table("Faults of the data", columns, rows, caption, "No fault was found in images and labels.")


def _sheets(folder: Path) -> list[Thumbnail]:
    """Read the contact sheets that are there, and are images as Lehr writes them."""
    sheets = []
    for name, (title, about) in SHEETS.items():
        path = folder / PLOTS / name
        try:
            data = read_file(path, MAX_SHEET, links=False)
            height, width, _ = decode_image(data, path).shape
        except (OSError, ImageFault):
            continue
        if data.startswith(JPEG) and max(height, width) <= MAX_SIDE:
            sheets.append(Thumbnail(data, f"Images of a training batch, {about}, with boxes and class names.", title))
    return sheets


def _by_frequency(summary: DataSummary) -> list[int]:
    """Return the classes, most objects first: of the training split, then of the others."""
    counts = [split.objects for name, split in sorted(summary.splits.items(), key=lambda each: each[0] != "train")]
    return sorted(range(len(summary.names)), key=lambda index: [-each[index] for each in counts])


def _shares(summary: DataSummary, counts: dict[str, list[int]]) -> list[Series]:
    """A series a split, of the share of its objects in each bin, %."""
    return [
        Series(
            _word(name),
            range(len(bins)),
            [100 * number / max(1, summary.splits[name].instances) for number in bins],
        )
        for name, bins in counts.items()
    ]


def _filled(counts: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the first bin that any of several histograms fills, and the one behind the last; all where none does."""
    filled = [index for bins in counts for index, number in enumerate(bins) if number]
    return (min(filled), max(filled) + 1) if filled else (0, max(map(len, counts), default=0))


def _xy(name: str, pairs: Sequence[tuple[float, float]]) -> Series:
    ordered = sorted(pairs)
    return Series(name, [x for x, _ in ordered], [y for _, y in ordered])


def _percent(part: float, whole: float) -> str:
    """Return a share as a percentage, with more digits near nothing and near all."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.4g}%" if percent > 99 else f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _word(split: str) -> str:
    return SPLITS.get(split, split)

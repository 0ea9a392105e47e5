"""Differences between two runs: options, data, versions, machine; where they part, and what that points to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lehr.comparison.parting import Course, Parting, Stage, compare_courses
from lehr.comparison.sides import Side, read_side
from lehr.data.image_marks import DataDifference, compare_marks
from lehr.options import GROUPS, LOCAL, MAY_CHANGE, option_names
from lehr.runtime.counted import counted

Cause = Literal["data", "options", "arithmetic", "unknown"]
PRECISION = frozenset({"amp", "augment_on", "compile", "cuda_graphs", "deterministic", "sync_bn", "parallel"})
"""Options by which numbers are rounded otherwise."""
BATCHES = frozenset({*GROUPS["data"].model_fields, *GROUPS["augment"].model_fields, "seed", "augment_on", "epochs"})
START = frozenset({*GROUPS["model"].model_fields, "seed"})
COURSE = frozenset({*GROUPS["schedule"].model_fields, "model", "batch"})
LOSS = frozenset({*GROUPS["loss"].model_fields, *PRECISION})
ACTING: dict[Stage, frozenset[str]] = {
    "start": START | {"data", "single_cls", "imgsz"},
    "images": BATCHES,
    "pixels": BATCHES,
    "objects": BATCHES,
    "size": BATCHES,
    "loss": LOSS | START,
    "gradient": LOSS | {"freeze", "clip_norm"},
    "rates": COURSE,
    "update": COURSE | LOSS | {"freeze"},
    "validation": COURSE | {"max_det", "data", "keep_val", "difficult"},
}
"""Options that act where runs diverge so."""
OF_DATA = frozenset({"images", "pixels", "objects", "size", "start", "validation"})
"""Stages at which other data show."""


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A value that differs.

    Attributes:
        name: of an option (flat), a package, or a property of the machine.
        first: in the first run; None if it is not known there.
        second: in the second.
    """

    name: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True)
class DataComparison:
    """Comparison of the data of two runs.

    Attributes:
        same: whether they are the same, as far as both runs recorded them; None if one recorded nothing.
        content: whether both runs hashed their image files, so that other pixels would show.
        names: the class names, where they differ.
        images: images that differ.
        classes: class names of both.
    """

    same: bool | None
    content: bool
    images: tuple[DataDifference, ...] = ()
    classes: tuple[tuple[str, ...], tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Differences between two runs.

    Attributes:
        first: folder of the first.
        second: folder of the second.
        options: that can change what is trained.
        local: options of the place and the machine, which change no number.
        versions: of Python and of packages.
        machine: device, processor, processes.
        data: of the data.
        course: where the runs diverge.
        cause: what that points to; None if nothing differs in what was trained.
        culprits: the options, images or versions that it points to.
        notes: what could not be read or compared, one line each.
    """

    first: Path
    second: Path
    options: tuple[ValueDifference, ...]
    local: tuple[ValueDifference, ...]
    versions: tuple[ValueDifference, ...]
    machine: tuple[ValueDifference, ...]
    data: DataComparison
    course: Course
    cause: Cause | None
    culprits: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """True if options, data and course are the same, as far as they are known; places and versions aside."""
        return not self.options and self.data.same is not False and self.course.parting is None


def compare_runs(first: Path, second: Path) -> Difference:
    """Compare two runs by their folders.

    Raises:
        InputError: one is not a run's, or a file in it cannot be used.
    """
    return difference_of(read_side(first), read_side(second))


def difference_of(ours: Side, theirs: Side) -> Difference:
    """Compare two runs that are read."""
    options = [
        ValueDifference(name, ours.options[name], theirs.options[name])
        for name in option_names()
        if ours.options[name] != theirs.options[name]
    ]
    acting = tuple(each for each in options if not _is_local(each.name))
    data, course = _compare_data(ours, theirs), compare_courses(ours, theirs)
    versions, machine = _differing(ours.versions, theirs.versions), _differing(ours.machine, theirs.machine)
    cause, culprits = _pointed_to(course.parting, acting, data, [*versions, *machine])
    if course.parting is None and (acting or data.same is False):
        cause, culprits = (
            ("options", tuple(each.name for each in acting)) if acting else ("data", _image_names(data.images))
        )
    return Difference(
        ours.folder,
        theirs.folder,
        acting,
        tuple(each for each in options if _is_local(each.name)),
        tuple(versions),
        tuple(machine),
        data,
        course,
        cause,
        culprits,
        (*ours.notes, *theirs.notes, *_not_compared(ours, theirs, course, data)),
    )


def _is_local(name: str) -> bool:
    """Return whether an option is of the place or the machine, and changes no number."""
    return name in LOCAL or (name in MAY_CHANGE and name not in {"epochs", "patience", *PRECISION}) or name == "cache"


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[ValueDifference]:
    """Return what differs of what both runs say."""
    return [
        ValueDifference(name, value, second[name])
        for name, value in first.items()
        if name in second and value != second[name]
    ]


def _compare_data(ours: Side, theirs: Side) -> DataComparison:
    """Compare the data image by image where both runs recorded that, else by their fingerprint."""
    if ours.marks is None or theirs.marks is None:
        if not ours.data or not theirs.data:
            return DataComparison(None, False)
        return DataComparison(ours.data == theirs.data, False)
    images = tuple(compare_marks(ours.marks, theirs.marks))
    classes = (ours.marks.names, theirs.marks.names)
    content = all(each.content is not None for each in (*ours.marks.images, *theirs.marks.images))
    differ = None if classes[0] == classes[1] else classes
    return DataComparison(not images and differ is None, content, images, differ)


def _pointed_to(
    parting: Parting | None,
    options: Sequence[ValueDifference],
    data: DataComparison,
    circumstances: Sequence[ValueDifference],
) -> tuple[Cause | None, tuple[str, ...]]:
    """Likely cause of the place where two runs diverge: data or options that act there, else other arithmetic."""
    if parting is None:
        return None, ()
    acting = [each.name for each in options if each.name in ACTING[parting.stage]]
    if parting.source == "results.csv":  # a whole epoch: whatever differs may act in it
        acting = [each.name for each in options]
    if acting:
        return "options", tuple(acting)
    if data.same is False and (parting.stage in OF_DATA or parting.source != "digests"):
        return "data", _image_names(data.images)
    if options:
        return "options", tuple(each.name for each in options)
    if data.same is False:
        return "data", _image_names(data.images)
    of_files = parting.stage in ("pixels", "images", "objects") or parting.source != "digests"
    if of_files and not data.content:
        return "unknown", tuple(each.name for each in circumstances)
    return "arithmetic", tuple(each.name for each in circumstances)


def _image_names(images: Sequence[DataDifference]) -> tuple[str, ...]:
    return tuple(each.name for each in images)


def _not_compared(ours: Side, theirs: Side, course: Course, data: DataComparison) -> list[str]:
    """Reasons why the comparison is not certain, one line each."""
    notes = []
    without = [str(side.folder) for side in (ours, theirs) if side.digests is None]
    if without:
        notes.append(
            f"No digests in {' and '.join(without)}: steps are compared by what was logged of them. Train with "
            "--digests to compare them byte by byte."
        )
    if course.missing:
        notes.append(
            f"{counted(course.missing, 'step has', 'steps have')} a digest in one of the runs only, and "
            f"{'is' if course.missing == 1 else 'are'} not compared."
        )
    if data.same is None:
        notes.append("The data cannot be compared: one of the runs did not record them.")
    elif data.same and (ours.marks is None or theirs.marks is None):
        notes.append(
            "One of the runs recorded names, sizes and objects of its data alone: other pixels would not show."
        )
    elif data.same and not data.content:
        notes.append(
            "The image files were not hashed, since they are many: other pixels alone would not show in the data. "
            "--digests has them hashed."
        )
    return notes

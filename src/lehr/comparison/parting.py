"""The first step, and the first tensor of it, at which two runs part: by their digests, else by what they logged.

What a step is made of is compared in the order in which it acts: the weights before it, which images, the size, pixels,
objects; then what it came to: losses, the gradient, the rates of the optimizer step. So the first difference is where
the cause acts, and not one of its consequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lehr.checkpoint.digest_file import STEP, DigestFile, Record
from lehr.checkpoint.run_log import StepLine
from lehr.comparison.sides import Row, Side

Stage = Literal["start", "images", "pixels", "objects", "size", "loss", "gradient", "rates", "update", "validation"]
"""What first differs: the weights at the start; which images a batch has, their pixels, objects or size; the loss of
equal batches under equal weights; the gradient of an equal loss; rates; the weights that an equal step led to; the
numbers of a validation."""
Source = Literal["digests", "events.jsonl", "results.csv"]
TIMES = ("seconds", "images_per_second")
"""Columns of results.csv that differ each time."""
NAMED = 8
RATES = ("rate of the weights", "rate of the norms", "rate of the biases", "momentum")


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two runs part.

    Attributes:
        source: what shows it.
        epoch: from 1; 0 for the start.
        step: in the epoch, from 1; None where an epoch as a whole is known.
        run_step: the same over the run, from 1.
        stage: what differs.
        tensor: its name, e.g. pixels, or `weights model.0.conv.weight`.
        first: its value, or digest, in the first run.
        second: in the second.
        images: of a batch that differs: the indices of the images that do, in the training split.
        others: further tensors of the same step that differ.
    """

    source: Source
    epoch: int
    step: int | None
    run_step: int | None
    stage: Stage
    tensor: str
    first: str
    second: str
    images: tuple[int, ...] = ()
    others: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Course:
    """Comparison of the courses of two runs.

    Attributes:
        parting: where they part; None where they do not.
        steps: steps whose digests were compared, up to the parting.
        logged: steps whose logged losses were compared.
        epochs: rows of results.csv that were compared.
        missing: steps of which only one of the runs has a digest.
    """

    parting: Parting | None
    steps: int = 0
    logged: int = 0
    epochs: int = 0
    missing: int = 0


def compare_courses(first: Side, second: Side) -> Course:
    """Find where two runs part.

    Args:
        first: a run.
        second: another.
    """
    steps = missing = logged = 0
    found: Parting | None = None
    if first.digests is not None and second.digests is not None:
        found, steps, missing = by_digests(first.digests, second.digests)
    if found is None and not steps:
        found, logged = by_log(first.log.steps, second.log.steps, first.batches or second.batches)
    by_row, epochs = by_results(first.rows, second.rows)
    if found is None or (by_row is not None and by_row.epoch < found.epoch):
        found = by_row or found
    return Course(found, steps, logged, epochs, missing)


def by_digests(first: DigestFile, second: DigestFile) -> tuple[Parting | None, int, int]:
    """Find where two runs part by their digests.

    Returns:
        The parting, how many steps were compared, and of how many only one run has a digest.
    """
    names = [name for name in first.header.tensors if name in set(second.header.tensors)]
    tensors = tuple(np.array([file.header.tensors.index(name) for name in names], np.int64) for file in (first, second))
    compared = missing = 0
    same_layout = first.header == second.header
    before: tuple[Record, Record] | None = None
    for ours, theirs in _pairs(first, second):
        for a, b in zip(ours, theirs, strict=True):
            if not (a["kind"] and b["kind"]):
                missing += bool(a["kind"]) != bool(b["kind"])
                before = None
                continue
            if not (same_layout and a.tobytes() == b.tobytes()):
                found = _of_step(a, b, before, names, tensors, first)
                if found is not None:
                    return found, compared, missing
            if a["kind"] == STEP == b["kind"]:
                compared += 1
            before = a, b
    return None, compared, missing


def _pairs(first: DigestFile, second: DigestFile) -> Iterator[tuple[Record, Record]]:
    """Blocks of both files, of the same steps each."""
    ours, theirs = first.blocks(), second.blocks()
    a: Record | None = None
    b: Record | None = None
    while True:
        a = next(ours, None) if a is None or not len(a) else a
        b = next(theirs, None) if b is None or not len(b) else b
        if a is None or b is None:
            return
        count = min(len(a), len(b))
        yield a[:count], b[:count]
        a, b = a[count:], b[count:]


def _of_step(
    a: Record,
    b: Record,
    before: tuple[Record, Record] | None,
    names: Sequence[str],
    tensors: tuple[np.ndarray, ...],
    file: DigestFile,
) -> Parting | None:
    """The first difference between two records of a step; None where they say the same."""
    step, batches, parts = int(a["step"]), file.header.batches, file.header.parts
    mine, yours = a["weights"][tensors[0]], b["weights"][tensors[1]]
    other = np.flatnonzero(mine != yours).tolist()

    def at(
        number: int, stage: Stage, tensor: str, values: tuple[str, str], **more: tuple[int, ...] | tuple[str, ...]
    ) -> Parting:
        epoch, place = divmod(number, batches)
        given: dict[str, tuple[int, ...] | tuple[str, ...]] = more
        return Parting("digests", epoch + 1, place + 1, number + 1, stage, tensor, *values, **given)  # type: ignore[arg-type]

    if other:
        named = [f"weights {names[index]}" for index in other]
        values = f"{mine[other[0]]:08x}", f"{yours[other[0]]:08x}"
        if step == 0:
            start = at(0, "start", named[0], values, others=tuple(named[1:]))
            return start
        return at(step - 1, "update", named[0], values, others=tuple(named[1:]))
    if a["kind"] != STEP or b["kind"] != STEP:
        return None
    count, its = int(a["count"]), int(b["count"])
    rows = _common_rows(a, b)
    if a["total"] != b["total"] or rows is None:
        lists = [_listed(each["index"][: int(each["count"])].tolist()) for each in (a, b)]
        different = sorted(set(a["index"][:count].tolist()) ^ set(b["index"][:its].tolist()))
        return at(step, "images", "images", (lists[0], lists[1]), images=tuple(different))
    if a["size"] != b["size"]:
        return at(step, "size", "size", (str(a["size"]), str(b["size"])))
    for stage, name in (("pixels", "pixels"), ("objects", "objects")):
        differ = [(i, j) for i, j in rows if a[name][i] != b[name][j]]
        if differ:
            i, j = differ[0]
            both = stage == "pixels" and any(a["objects"][m] != b["objects"][n] for m, n in rows)
            return at(
                step,
                "pixels" if stage == "pixels" else "objects",
                name,
                (f"{a[name][i]:08x}", f"{b[name][j]:08x}"),
                images=tuple(int(a["index"][m]) for m, _ in differ),
                others=("objects",) if both else (),
            )
    pairs = zip(parts, a["losses"].tolist(), b["losses"].tolist(), strict=False)
    losses = [(part, x, y) for part, x, y in pairs if not _same(x, y)]
    if losses:
        part, x, y = losses[0]
        return at(
            step, "loss", f"loss {part}", (_shown(x), _shown(y)), others=tuple(f"loss {p}" for p, _, _ in losses[1:])
        )
    if not _same(float(a["norm"]), float(b["norm"])) or a["finite"] != b["finite"]:
        return at(step, "gradient", "gradient norm", (_shown(float(a["norm"])), _shown(float(b["norm"]))))
    rates = zip(
        (*RATES, "batches an optimizer step"),
        (*a["rates"].tolist(), int(a["accumulate"])),
        (*b["rates"].tolist(), int(b["accumulate"])),
        strict=True,
    )
    for name, x, y in rates:
        if x != y:
            return at(step, "rates", name, (f"{x:.9g}", f"{y:.9g}"))
    return None


def _common_rows(a: Record, b: Record) -> list[tuple[int, int]] | None:
    """Rows of two batches with the same images; None where they cannot be the same batch.

    Of several processes the records hold the share of the first, which differs with their number.
    """
    ours, theirs = (each["index"][: int(each["count"])].tolist() for each in (a, b))
    shorter = min(len(ours), len(theirs))
    if ours[:shorter] != theirs[:shorter] or (len(ours) != len(theirs) and a["total"] != b["total"]):
        return None
    return [(row, row) for row in range(shorter)]


def by_log(first: Sequence[StepLine], second: Sequence[StepLine], batches: int | None) -> tuple[Parting | None, int]:
    """Find where two runs part by the losses that they logged, and how many steps were compared."""
    known, compared = {line.step: line for line in second}, 0
    for line in first:
        other = known.get(line.step)
        if other is None:
            continue
        compared += 1
        values = [(f"loss {part}", value, other.losses.get(part)) for part, value in line.losses.items()]
        values += [("gradient norm", line.norm, other.norm)]
        values += [(f"rate of the {group}", value, other.rates.get(group)) for group, value in line.rates.items()]
        for name, x, y in values:
            if x != y:
                epoch, place = divmod(line.step, batches) if batches else (line.epoch, None)
                stage: Stage = "loss" if name.startswith("loss") else "gradient" if name[-4:] == "norm" else "rates"
                number = None if place is None else place + 1
                return (
                    Parting("events.jsonl", epoch + 1, number, line.step + 1, stage, name, _shown(x), _shown(y)),
                    compared,
                )
    return None, compared


def by_results(first: Sequence[Row], second: Sequence[Row]) -> tuple[Parting | None, int]:
    """Find the first epoch whose rows of results.csv differ, and how many rows were compared."""
    compared = 0
    for ours, theirs in zip(first, second, strict=False):
        compared += 1
        columns = [name for name in ours if name in theirs and name not in TIMES and ours[name] != theirs[name]]
        if columns:
            name = columns[0]
            epoch = int(ours["epoch"]) if ours.get("epoch", "").isdigit() else compared
            stage: Stage = (
                "validation" if name.startswith(("val/", "keep/")) else "rates" if name.startswith("lr/") else "loss"
            )
            return (
                Parting(
                    "results.csv", epoch, None, None, stage, name, ours[name], theirs[name], others=tuple(columns[1:])
                ),
                compared,
            )
    return None, compared


def _same(x: float, y: float) -> bool:
    return x == y or (math.isnan(x) and math.isnan(y))


def _shown(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:.9g}"


def _listed(images: Sequence[int]) -> str:
    return ", ".join(map(str, images[:NAMED])) + (", ..." if len(images) > NAMED else "")

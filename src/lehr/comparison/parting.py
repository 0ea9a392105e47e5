"""The first step, and the first tensor of it, at which two runs diverge: by their digests, else by what they logged.

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
from numpy.typing import NDArray

from lehr.checkpoint.digest_file import STEP, DigestFile, Header, Record
from lehr.checkpoint.run_log import StepLine
from lehr.comparison.sides import Row, Side

Stage = Literal["start", "images", "pixels", "objects", "size", "loss", "gradient", "rates", "update", "validation"]
"""First difference: the weights at the start; which images are in a batch, their pixels, objects or size; the loss of
equal batches under equal weights; the gradient of an equal loss; rates; the weights that an equal step led to; the
numbers of a validation."""
Source = Literal["digests", "events.jsonl", "results.csv"]
TIMES = ("seconds", "images_per_second")
"""Columns of results.csv that differ each time."""
NAMED = 8
Indices = NDArray[np.int64]
RATES = ("rate of the weights", "rate of the norms", "rate of the biases", "momentum")


@dataclass(frozen=True, slots=True)
class Parting:
    """Point where two runs diverge.

    Attributes:
        source: what shows it.
        epoch: from 1; 0 for the start.
        step: in the epoch, from 1; None if an epoch as a whole is known.
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
        parting: where they part; None if they do not.
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
    """Find where two runs diverge.

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
    if by_row is not None and (found is None or (by_row.epoch < found.epoch and found.stage != "start")):
        found = by_row
    return Course(found, steps, logged, epochs, missing)


def by_digests(first: DigestFile, second: DigestFile) -> tuple[Parting | None, int, int]:
    """Find where two runs diverge by their digests.

    Returns:
        The parting, how many steps were compared, and of how many only one run has a digest.
    """
    places = [{name: place for place, name in enumerate(file.header.tensors)} for file in (first, second)]
    names = [name for name in places[0] if name in places[1]]
    tensors = [np.array([each[name] for name in names], np.int64) for each in places]
    compared = missing = 0
    same_layout, follows = first.header == second.header, False
    for ours, theirs in _pairs(first, second):
        for a, b in zip(ours, theirs, strict=True):
            if not (a["kind"] and b["kind"]):
                missing += bool(a["kind"]) != bool(b["kind"])
                follows = False
                continue
            steps = bool(a["kind"] == STEP == b["kind"])
            if not (same_layout and a.tobytes() == b.tobytes()):
                pair = _Pair(a, b, first.header)
                found = _of_weights(pair, names, tensors, follows)
                if found is None and steps:
                    found = _of_batch(pair) or _of_outcome(pair)
                if found is not None:
                    return found, compared, missing
            compared += steps
            follows = True
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


@dataclass(frozen=True, slots=True)
class _Pair:
    """Records of the same step of two runs."""

    a: Record
    b: Record
    header: Header

    def parting(
        self,
        stage: Stage,
        tensor: str,
        first: str,
        second: str,
        *,
        images: tuple[int, ...] = (),
        others: tuple[str, ...] = (),
        earlier: int = 0,
    ) -> Parting:
        """A parting at this step, or so many steps earlier."""
        step = int(self.a["step"]) - earlier
        epoch, place = divmod(step, self.header.batches)
        return Parting(
            "digests", epoch + 1, place + 1, step + 1, stage, tensor, first, second, images=images, others=others
        )


def _of_weights(pair: _Pair, names: Sequence[str], tensors: Sequence[Indices], follows: bool) -> Parting | None:
    """The first weights that differ before a step.

    Args:
        pair: the records.
        names: of the tensors that both runs have.
        tensors: their places in the records of each run.
        follows: whether the step before was equal, so that it led to these weights.
    """
    mine, yours = pair.a["weights"][tensors[0]], pair.b["weights"][tensors[1]]
    other = np.flatnonzero(mine != yours).tolist()
    if not other:
        return None
    first, *more = (f"weights {names[index]}" for index in other)
    values = f"{mine[other[0]]:08x}", f"{yours[other[0]]:08x}"
    stage: Stage = "update" if follows else "start"
    return pair.parting(stage, first, *values, others=tuple(more), earlier=int(follows))


def _of_batch(pair: _Pair) -> Parting | None:
    """The first difference between the batches of a step.

    Of several processes the records hold the share of the first, which differs with their number.
    """
    a, b = pair.a, pair.b
    ours, theirs = (each["index"][: int(each["count"])].tolist() for each in (a, b))
    count = min(len(ours), len(theirs))
    if a["total"] != b["total"] or ours[:count] != theirs[:count]:
        different = tuple(sorted(set(ours) ^ set(theirs)))
        return pair.parting("images", "images", _listed(ours), _listed(theirs), images=different)
    if a["size"] != b["size"]:
        return pair.parting("size", "size", str(a["size"]), str(b["size"]))
    pixels, objects = (np.flatnonzero(a[name][:count] != b[name][:count]).tolist() for name in ("pixels", "objects"))
    if not pixels and not objects:
        return None
    name: Stage = "pixels" if pixels else "objects"
    rows = pixels or objects
    values = f"{a[name][rows[0]]:08x}", f"{b[name][rows[0]]:08x}"
    others = ("objects",) if pixels and objects else ()
    return pair.parting(name, name, *values, images=tuple(ours[row] for row in rows), others=others)


def _of_outcome(pair: _Pair) -> Parting | None:
    """The first difference in what a step came to."""
    a, b = pair.a, pair.b
    pairs = zip(pair.header.parts, a["losses"].tolist(), b["losses"].tolist(), strict=False)
    losses = [(f"loss {part}", x, y) for part, x, y in pairs if not _same(x, y)]
    if losses:
        name, x, y = losses[0]
        return pair.parting("loss", name, _shown(x), _shown(y), others=tuple(each[0] for each in losses[1:]))
    norms = float(a["norm"]), float(b["norm"])
    if a["updated"] == b["updated"] and (not _same(*norms) or a["finite"] != b["finite"]):
        return pair.parting("gradient", "gradient norm", *map(_shown, norms))
    names = (*RATES, "batches an optimizer step", "loss scale")
    mine, yours = ([*each["rates"].tolist(), int(each["accumulate"]), float(each["scale"])] for each in (a, b))
    for name, x, y in zip(names, mine, yours, strict=True):
        if x != y:
            return pair.parting("rates", name, f"{x:.9g}", f"{y:.9g}")
    return None


def by_log(first: Sequence[StepLine], second: Sequence[StepLine], batches: int | None) -> tuple[Parting | None, int]:
    """Find where two runs diverge by the losses that they logged, and how many steps were compared."""
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

"""events.jsonl, the log of a run: its lines, typed, and reading them.

Each line is a JSON object with `kind`, `epoch` (from 0) and `step` (batches done so far over the run; in a line of kind
`step` the batch itself, counted from 0). Numbers that are not finite are null. The kinds are the classes below, whose
attributes are the keys: `start`, `step`, `start-evaluated`, `epoch`, `best`, `warmup-end`, `mosaic-close`, `rollback`,
`save`, `end`. `lehr.callbacks.run_log` writes it.

A run's folder may be untrusted: the file is read up to a size, each line is checked, and invalid lines are skipped and
counted. This module does not need torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.reading import MIB, read_file

RUN_LOG = "events.jsonl"
MAX_BYTES = 64 * MIB
"""Size up to which the file is read; a run writes a few megabytes."""
MAX_LINES = 200_000
"""Lines that are read; a run writes some thousands."""
MAX_TEXT = 100_000

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Number = float | None
Numbers = dict[Text, Number]
Cell = Annotated[int, Field(ge=-(2**53), le=2**53)] | float | Text | None


class Line(BaseModel):
    """A line of the log.

    Attributes:
        epoch: from 0: the one that runs, or comes next.
        step: batches done so far over the run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)
    epoch: Count
    step: Count


class StartLine(Line):
    """A run starts or resumes.

    Attributes:
        resumed: whether it resumes.
        options: all of them, by flat name.
        versions: of Python and the packages that compute, by name.
        machine: system, processor and cores.
        device: where it trains.
        processes: that train together.
        names: the class names.
        parts: names of the parts of the loss.
        images: of the splits `train` and `val`.
        batches: of an epoch.
        warmup: steps that the warmup lasts.
        closed: last epochs without mosaic.
        data: fingerprint of the data.
        notes: notes from the preparation, one line each, as in train.log.
        time: seconds since 1970 (UTC).
    """

    kind: Literal["start"]
    resumed: bool
    options: dict[Text, Any]
    versions: dict[Text, Text]
    machine: dict[Text, Cell]
    device: Text
    processes: Count
    names: list[Text]
    parts: list[Text]
    images: dict[Text, Count]
    batches: Count
    warmup: Count
    closed: Count
    data: Text
    notes: list[Text]
    time: float


class StepLine(Line):
    """An optimizer step, with the batches since the line before.

    A run of more than 5,000 batches has a line every n batches, n = ceil(batches / 5,000); a step that was not finite
    has one in any case.

    Attributes:
        step: the last of these batches, counted over the run from 0.
        batches: how many they are.
        images: of those that were finite.
        losses: each part of the loss, mean per image of the finite batches; null where none was finite.
        norm: of the gradient before it was clipped; the largest, where several steps are one line.
        rates: learning rates of weights, norms and biases at the last of them.
        momentum: or beta1.
        accumulate: batches per optimizer step.
        loss_scale: in float16; null in other precisions.
        finite: whether all of them were.
    """

    kind: Literal["step"]
    batches: Count
    images: Count
    losses: Numbers
    norm: Number
    rates: Numbers
    momentum: Number
    accumulate: Count
    loss_scale: Number
    finite: bool


class StartEvaluatedLine(Line):
    """The weights that the run starts from were evaluated.

    Attributes:
        row: row 0 of results.csv.
    """

    kind: Literal["start-evaluated"]
    row: dict[Text, Cell]


class EpochLine(Line):
    """An epoch is done, its validation too.

    Attributes:
        row: its row of results.csv.
        losses: mean of each part of the training loss per image.
        rates: learning rates of weights, norms and biases at its last step.
        images_per_second: of the training loop.
        memory: peak memory so far, MiB: on a GPU the device's, else the process's.
        seconds: spent on the run so far.
        best: whether it is the best epoch so far.
    """

    kind: Literal["epoch"]
    row: dict[Text, Cell]
    losses: Numbers
    rates: Numbers
    images_per_second: Number
    memory: Number
    seconds: Number
    best: bool


class BestLine(Line):
    """An epoch is better than all before; comes before its `epoch`.

    Attributes:
        metrics: map, map50, precision and recall of its validation.
    """

    kind: Literal["best"]
    metrics: Numbers


class WarmupEndLine(Line):
    """The warmup is over: the step is the first after it."""

    kind: Literal["warmup-end"]


class MosaicCloseLine(Line):
    """The first epoch without mosaic begins."""

    kind: Literal["mosaic-close"]


class RollbackLine(Line):
    """The run rolled back to an earlier checkpoint: steps from `step` on are repeated.

    Attributes:
        from_step: batches done before.
        lr_scale: multiple of the planned learning rates from now on.
        precision: in which the model computes from now on.
        rollbacks: number of rollbacks so far.
    """

    kind: Literal["rollback"]
    from_step: Count
    lr_scale: Number
    precision: Text
    rollbacks: Count


class SaveLine(Line):
    """A checkpoint is on the disk, of the state after `step` batches.

    Attributes:
        last: whether `last.safetensors` was written with it.
        best: whether `best.safetensors` was.
    """

    kind: Literal["save"]
    last: bool
    best: bool


class EndLine(Line):
    """The run ends.

    Attributes:
        reason: `finished`; `stopped-early` by --patience; `diverged`, with its best; `stopped` by a signal or a key;
            `failed`.
        message: a message; empty if it finished.
        best_epoch: from 0; -1 if no epoch is better than the start; null where the run did not come to its end.
        seconds: spent on the run; null where it did not come to its end.
    """

    kind: Literal["end"]
    reason: Literal["finished", "stopped-early", "diverged", "stopped", "failed"]
    message: Text
    best_epoch: Annotated[int, Field(ge=-1, le=2**53)] | None
    seconds: Number


AnyLine = (
    StartLine
    | StepLine
    | StartEvaluatedLine
    | EpochLine
    | BestLine
    | WarmupEndLine
    | MosaicCloseLine
    | RollbackLine
    | SaveLine
    | EndLine
)
LINE: TypeAdapter[AnyLine] = TypeAdapter(Annotated[AnyLine, Field(discriminator="kind")])
Kind = TypeVar("Kind", bound=Line)


@dataclass(frozen=True)
class RunLog:
    """The log of a run.

    Attributes:
        lines: as in the file, in order, including those that a rollback undid.
        notes: what could not be read, one line each, for people.
    """

    lines: tuple[AnyLine, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def valid(self) -> tuple[AnyLine, ...]:
        """The lines without steps, epochs and saves that a rollback undid, so that each step occurs once."""
        kept: list[AnyLine] = []
        back_to: float = math.inf
        for line in reversed(self.lines):
            if not _undone(line, back_to):
                kept.append(line)
            if isinstance(line, RollbackLine):
                back_to = min(back_to, line.step)
        return tuple(reversed(kept))

    @property
    def start(self) -> StartLine | None:
        """The last start of the run, with its current options; None if the file has none."""
        return next(reversed(self.of(StartLine)), None)

    @property
    def steps(self) -> list[StepLine]:
        """The steps, each once."""
        return self.of(StepLine)

    @property
    def epochs(self) -> list[EpochLine]:
        """The epochs, each once."""
        return self.of(EpochLine)

    @property
    def undone(self) -> list[StepLine]:
        """The steps that a rollback undid: the losses before it."""
        valid = set(map(id, self.valid))
        return [line for line in self.lines if isinstance(line, StepLine) and id(line) not in valid]

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Return the lines of a kind, each step and epoch once."""
        return [line for line in self.valid if isinstance(line, kind)]


def read_run_log(folder: Path) -> RunLog:
    """Read the log of a run.

    Args:
        folder: the run's.

    Returns:
        Its lines; none, with a note, where the run has no log, since it was trained by an earlier version.

    Raises:
        InputError: the file is none of a run: a link, a device, too large, or cannot be read.
    """
    path = folder / RUN_LOG
    try:
        data = read_file(path, MAX_BYTES, links=False)
    except FileNotFoundError:
        return RunLog((), (f"{path}: is missing: the run was trained by a version of Lehr that did not write it.",))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from None
    return parse_run_log(data, str(path))


def parse_run_log(data: bytes, where: str) -> RunLog:
    """Read the lines of a log.

    Args:
        data: content of the file.
        where: its name, for notes.
    """
    texts = data.split(b"\n")
    torn = bool(texts.pop())  # after the last newline
    lines: list[AnyLine] = []
    unread: list[int] = []
    for number, text in enumerate(texts[:MAX_LINES], 1):
        try:
            lines.append(LINE.validate_json(text))
        except (ValidationError, ValueError, RecursionError):
            unread.append(number)
    notes = _unread_notes(where, unread)
    if torn:
        notes.append(
            f"{where}: its last line is incomplete, since the run was interrupted or is still writing; skipped."
        )
    if len(texts) > MAX_LINES:
        notes.append(f"{where}: has {len(texts)} lines; only the first {MAX_LINES} are read.")
    return RunLog(tuple(lines), tuple(notes))


def _unread_notes(where: str, numbers: Sequence[int]) -> list[str]:
    if not numbers:
        return []
    named = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    count = counted(len(numbers), "line is", "lines are")
    return [f"{where}: {count} not part of a run's log, skipped (line {named})."]


def _undone(line: AnyLine, back_to: float) -> bool:
    """Return whether a rollback undid a line, which returned to the state after so many batches."""
    if isinstance(line, StepLine | WarmupEndLine | MosaicCloseLine):
        return line.step >= back_to
    return isinstance(line, EpochLine | BestLine | SaveLine) and line.step > back_to

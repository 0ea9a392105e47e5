"""The table of epochs: its columns, which of them a terminal has room for, and its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from lehr.callbacks.events import FitEpochEnd, StartEvaluated
from lehr.callbacks.run_info import Run
from lehr.evaluation.class_table import names_kept, right, share_text
from lehr.evaluation.metrics import Metrics
from lehr.runtime.console import duration
from lehr.runtime.plain_text import one_line

LEARNED = 0.0005
"""Fitness from which a result is not shown as 0.000: a detector below it has learned nothing that can be measured."""
STAR = " *"
"""Mark of an epoch that is the best so far."""
LAST_TO_GO = ("size", "instances", "lr", "memory", "images/s", "mAP50_{}", "P", "R", "loss", "remaining", "mAP50")
"""Columns in the order in which they go where a terminal is too narrow; what is not named here always stays."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    Attributes:
        title: its name in the header.
        width: cells of its numbers.
        rank: how long it stays as a terminal becomes narrower: 0 goes first; columns of one rank go together.
    """

    title: str
    width: int
    rank: int


class EpochTable:
    """The rows of a run's epochs for any width.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        ranks = {name: number for number, name in enumerate(LAST_TO_GO)}
        ranks["R"] = ranks["P"]
        stays = len(LAST_TO_GO)
        epochs, kept = run.config.epochs, names_kept(run.config.run.max_det)
        columns = [("epoch", 2 * len(str(epochs)) + 1, stays), ("memory", 6, ranks["memory"])]
        columns += [(one_line(part), 6, ranks["loss"]) for part in run.parts]
        columns += [("instances", 7, ranks["instances"]), ("size", 4, ranks["size"]), ("lr", 8, ranks["lr"])]
        columns += [("images/s", 6, ranks["images/s"]), ("P", 5, ranks["P"]), ("R", 5, ranks["R"])]
        crowded = run.crowded  # then the star goes by what is averaged over all detections that are kept
        columns += [("mAP50", 5, ranks["mAP50"]), ("mAP50-95", 5, ranks["mAP50"] if crowded else stays)]
        if crowded:
            columns += [(kept[0], 5, ranks["mAP50_{}"]), (kept[1], 5, stays)]
        columns += [("remaining", 7, ranks["remaining"])]
        self._columns = tuple(Column(title, max(width, cell_len(title)), rank) for title, width, rank in columns)

    @property
    def legend(self) -> str:
        """Meaning of the star."""
        kept = names_kept(self._run.config.run.max_det) if self._run.crowded else ("mAP50", "mAP50-95")
        return f"* the best epoch so far, by 0.1 x {kept[0]} + 0.9 x {kept[1]}"

    def columns(self, width: int | None = None) -> tuple[Column, ...]:
        """Return the columns that fit.

        Args:
            width: columns of the terminal; None for all of the table's.
        """
        kept = self._columns
        for rank in range(len(LAST_TO_GO)):
            if width is None or _total(kept, " ") + len(STAR) <= width:
                break
            kept = tuple(column for column in kept if column.rank != rank)
        return kept

    def header(self, width: int | None = None) -> str:
        """Return the names of the columns that fit."""
        return self._row({column.title: column.title for column in self._columns}, width)

    def start(self, event: StartEvaluated, width: int | None = None) -> str:
        """Return the row of the weights that a run starts from."""
        cells = {"epoch": "start", "size": str(event.run.config.imgsz), **self._numbers(event.metrics)}
        return self._row(cells, width, starred(True, event.metrics))

    def epoch(self, event: FitEpochEnd, width: int | None = None) -> str:
        """Return an epoch's row."""
        return self._row(self.cells(event), width, starred(event.best, event.metrics))

    def cells(self, event: FitEpochEnd) -> dict[str, str]:
        """Return the text of each cell of an epoch's row, by the name of its column."""
        return {
            "epoch": f"{event.epoch + 1}/{event.run.config.epochs}",
            "memory": "-" if event.memory is None else _memory(event.memory),
            **{one_line(part): fitted(loss, 6) for part, loss in event.losses.items()},
            "instances": str(event.instances),
            "size": str(event.run.config.imgsz),
            "lr": "-" if "weights" not in event.rates else f"{event.rates['weights']:.3g}",
            "images/s": fitted(event.images_per_second, 8, 1),
            **self._numbers(event.metrics),
            "remaining": duration(event.remaining),
        }

    def _numbers(self, metrics: Metrics) -> dict[str, str]:
        kept = names_kept(self._run.config.run.max_det)
        numbers = {"P": metrics.precision, "R": metrics.recall, "mAP50": metrics.map50, "mAP50-95": metrics.map}
        numbers |= dict(zip(kept, (metrics.map50_max_det, metrics.map_max_det), strict=True))
        return {title: share_text(value) for title, value in numbers.items()}

    def _row(self, values: Mapping[str, str], width: int | None, star: bool = False) -> str:
        columns = self.columns(width)
        gap = "  " if width is None or _total(columns, "  ") + len(STAR) <= width else " "
        cells = (right(values.get(column.title, "-"), column.width) for column in columns)
        return gap.join(cells) + (STAR if star else "")


def styled(row: str, *, header: bool = False) -> Text:
    """Return a row with its styles: names in bold, the star in green."""
    text = Text(row, style="bold" if header else "")
    if row.endswith(STAR):
        text.stylize("bold green", len(row) - 1)
    return text


def starred(best: bool, metrics: Metrics) -> bool:
    """Return whether an epoch gets a star: it is the best so far, and something was learned by then."""
    return best and metrics.fitness >= LEARNED


def fitted(value: float, width: int, digits: int = 3) -> str:
    """Return a number with some digits behind the point, or fewer, as fit into a width."""
    if not math.isfinite(value):
        return str(value)
    for count in range(digits, -1, -1):
        if len(text := f"{value:.{count}f}") <= width:
            return text
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")


def _memory(mib: float) -> str:
    return f"{mib:.0f}M" if mib < 1000 else f"{mib / 1024:.1f}G"


def _total(columns: Sequence[Column], gap: str) -> int:
    return sum(column.width for column in columns) + len(gap) * (len(columns) - 1)

"""Progress of a study: one line per trial that ends, and on a terminal a table of all workers, on other machines too.

What is shown comes from the study itself, so every machine that shares it shows the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lehr.runtime.console import Console, duration
from lehr.runtime.counted import counted
from lehr.runtime.line_width import fold
from lehr.runtime.plain_text import entry, one_line
from lehr.search.records import Record


class StudyConsole(Console):
    """Reports a study's course to the terminal, or whatever the output is, and to a file.

    Args:
        log: the file, `study.log`.
        epochs: epochs of a whole trial.
        describe: says in a few words what a trial is.
        console: where to print; by default the standard output.
        verbose: print; else only the file has it.
    """

    def __init__(
        self,
        log: Path,
        epochs: int,
        describe: Callable[[Record], str],
        console: RichConsole | None = None,
        verbose: bool = True,
    ) -> None:
        super().__init__(log, console, verbose=verbose)
        self._epochs = epochs
        self._describe = describe
        self._live: Live | None = None
        self._began = time.monotonic()
        self._ended_before: int | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        if self.is_terminal:
            self._live = Live(console=self.console, transient=True, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_live()
        super().__exit__(kind, error, trace)

    def trial_ended(self, record: Record, count: int, records: Sequence[Record]) -> None:
        """Print the line of a trial that has ended.

        Args:
            record: the trial.
            count: number of trials that have ended, this one included.
            records: all of the study.
        """
        line, short = self._line(record, count, records), self._line(record, count, records, short=True)
        width = self.width
        self.say_row(line, Text(fold(entry(line if width is None or cell_len(line) <= width else short), width)))

    def _line(self, record: Record, count: int, records: Sequence[Record], short: bool = False) -> str:
        """The line of a trial; a short one is without mAP, worker and epochs, which the study's page has."""
        best = max((each.fitness for each in records if each.ended and each.fitness is not None), default=None)
        parts = [f"{count:>4}/{len(records)}", f"trial {record.slot:<4} {record.state:<8}"]
        parts.append(f"fitness {'      -' if record.fitness is None else f'{record.fitness:7.4f}'}")
        if not short:
            names = (("map50", "mAP50"), ("map", "mAP50-95"))
            parts += [f"{label} {record.metrics[name]:.3f}" for name, label in names if name in record.metrics]
            parts.append(f"{counted(len(record.course), 'epoch'):>10}")
        parts += [] if record.seconds is None else [duration(record.seconds)]
        parts += [] if short else [one_line(record.worker)]
        parts += [f"started {record.attempts} times"] if record.attempts > 1 else []
        parts += [what] if (what := self._describe(record)) else []
        star = record.fitness is not None and record.fitness == best and record.state == "finished"
        return "  ".join(parts) + (" *" if star and record.fitness else "")

    def show(self, records: Sequence[Record]) -> None:
        """Show all workers of the study; nothing where the output is not a terminal."""
        if self._ended_before is None:
            self._ended_before = sum(record.ended for record in records)
        if self._live is not None:
            self._live.update(self._table(records))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """While the workers are asked to end, which may take as long as a step and a save."""
        self._stop_live()
        yield

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, records: Sequence[Record]) -> Group:
        """A row a running trial, under a line about the whole study."""
        counts = {state: sum(record.state == state for record in records) for state in ("running", "waiting")}
        ended = [record for record in records if record.ended]
        pruned = sum(record.state == "pruned" for record in ended)
        best = max((r for r in ended if r.fitness is not None), key=lambda r: r.fitness or 0.0, default=None)
        title = f"{len(ended)} of {counted(len(records), 'trial')} ended"
        title += f" ({pruned} pruned)" if pruned else ""
        title += f", {counts['running']} running, {counts['waiting']} waiting"
        title += f"; best fitness {best.fitness:.4f} (trial {best.slot})" if best is not None else ""
        left = self._time_left(len(ended), len(records))
        title += f"; about {duration(left)} left" if left is not None else ""
        table = Table(box=None, pad_edge=False)
        for column in ("worker", "trial", "epoch", "fitness", ""):
            justify: Literal["left", "right"] = "left" if column in ("worker", "") else "right"
            table.add_column(column, justify=justify, no_wrap=True, overflow="crop")
        for record in records:
            if record.state == "running":
                table.add_row(
                    Text(one_line(record.worker)),
                    str(record.slot),
                    f"{len(record.course)}/{self._epochs}",
                    f"{record.fitness:.4f}" if record.fitness is not None else "-",
                    Text(one_line(self._describe(record))),
                )
        return Group(Text(fold(title, self.console.width)), table)

    def _time_left(self, ended: int, total: int) -> float | None:
        """Seconds until all slots have ended, by how quickly they have so far; None if it is not known yet."""
        here = ended - (self._ended_before or 0)
        return (time.monotonic() - self._began) / here * (total - ended) if here > 0 else None

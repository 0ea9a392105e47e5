"""Loggers: what hands the scalars, options and images of a run to a tracking tool, one file per tool, next to this one.

A logger is fed with the lines of the run's log (`events.jsonl`), in a separate thread. So whatever it does, however
long it takes, the training does not wait for it, and a failure ends nothing but the logger. When a run resumes after a
kill, the logger says how far its store reaches, and is fed with the lines of the log behind that: each scalar appears
there once.

A package can offer a logger: a class derived from `Logger`, as an entry point in the group `lehr.loggers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lehr.errors import InputError
from lehr.runtime.installing import how_to_install

STEP = "step/"
"""Prefix of the names of a step's scalars; the others are an epoch's."""


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run as a logger sees it.

    Attributes:
        id: the same after a kill and a resume, and that of no other run: 16 hexadecimal digits.
        folder: its folder.
        options: all of them, by flat name.
        about: versions, machine, device, data and names of the classes, by name.
    """

    id: str
    folder: Path
    options: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the run, that of its folder."""
        return self.folder.resolve().name

    @property
    def project(self) -> Path:
        """Folder that holds the runs."""
        return self.folder.resolve().parent


@dataclass(frozen=True, slots=True)
class Scalars:
    """Scalars of one moment.

    Attributes:
        values: by name: `step/box`, `step/lr/weights`, ... of a step; the columns of results.csv of an epoch.
        step: batches done over the run.
        epoch: of an epoch its number, from 1 (0: the start, before any training); of a step None.
        time: seconds since 1970 (UTC).
    """

    values: Mapping[str, float]
    step: int
    epoch: int | None
    time: float


@dataclass(frozen=True, slots=True)
class Reached:
    """End of what the store of a logger holds.

    Attributes:
        step: batches done in the last scalars of a step; -1 for none.
        epoch: number of the last epoch; -1 for none.
    """

    step: int = -1
    epoch: int = -1


class Logger:
    """A logger: made before the run begins, then used by one thread only. Whatever it raises ends it, and not the run.

    Its library is imported where it is made, so that what is missing is reported before the training begins.

    Attributes:
        name: in `--loggers`.
    """

    name: ClassVar[str]

    def begin(self, run: LoggedRun) -> Reached:
        """Create the store of a run, or open the one that it left, and return how far it reaches."""
        raise NotImplementedError

    def log(self, scalars: Scalars) -> None:
        """Store scalars, all or none of them."""
        raise NotImplementedError

    def image(self, name: str, file: Path, step: int) -> None:
        """Store an image."""

    def artifact(self, file: Path) -> None:
        """Store a file of the run."""

    def flush(self) -> None:
        """Hand on what is held back, since nothing more comes for a while."""

    def close(self, finished: bool) -> None:
        """Close the store; `finished` where the run came to its end."""


def scalars_of(line: Mapping[str, Any], time: float) -> Scalars | None:
    """Return the scalars of a line of a run's log; None where it has none.

    Args:
        line: as `lehr.checkpoint.run_log` describes them.
        time: seconds since 1970.
    """
    if line["kind"] == "step":
        rates = {f"lr/{group}": rate for group, rate in line["rates"].items()}
        others = {name: line[name] for name in ("norm", "momentum", "accumulate", "loss_scale")}
        values = {**line["losses"], **rates, **others}
        step = int(line["step"]) + 1
        return Scalars({STEP + name: float(v) for name, v in values.items() if v is not None}, step, None, time)
    if line["kind"] in ("epoch", "start-evaluated"):
        row = {**line["row"], "memory": line.get("memory")}
        numbers = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
        return Scalars(numbers, int(line["step"]), int(row["epoch"]), time)
    return None


def missing_package(name: str, error: ImportError) -> InputError:
    """Return the error of a logger whose library is not installed, or does not load.

    Args:
        name: the logger's, and its extra's.
        error: of the import.
    """
    return InputError(f"--loggers {name}: its package cannot be imported ({error}). {how_to_install(name)}")

"""Records of a study's trials, from which tables, plots and pages are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = float | int | str | bool
State = Literal["waiting", "running", "finished", "pruned", "diverged", "failed"]
"""`diverged`: the run came to no finite result, so its fitness is 0; `failed`: it could not be made, and has none."""

ENDED: tuple[State, ...] = ("finished", "pruned", "diverged", "failed")


@dataclass(frozen=True, slots=True)
class Record:
    """One trial of a study.

    Attributes:
        slot: which of the study's trials, from 0; each is trained once, however often it is begun again.
        state: how it stands.
        params: its values, by name.
        fitness: of its best epoch, higher is better; None before the first epoch, and where it failed.
        course: fitness after each epoch so far.
        metrics: of its best epoch, by name (`map`, `map50`, `map75`, `precision`, `recall`, `f1`).
        seconds: of training and validation, all epochs together; None if there are none yet.
        memory: most memory that it held, MiB, on the device where it is a GPU; None if not known.
        worker: who trains or trained it, e.g. `host:4711`.
        folder: its run, relative to the study's folder.
        attempts: how often it was begun.
        note: why it ended as it did, if there is something to say.
    """

    slot: int
    state: State
    params: Mapping[str, Value]
    fitness: float | None = None
    course: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    memory: float | None = None
    worker: str = ""
    folder: str = ""
    attempts: int = 1
    note: str = ""

    @property
    def ended(self) -> bool:
        """True if nothing more is to be done for the trial."""
        return self.state in ENDED

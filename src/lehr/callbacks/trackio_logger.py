"""Trackio: a run in its store on this machine (TRACKIO_DIR), shown by `trackio show --project lehr`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lehr.callbacks.logger import LoggedRun, Logger, Reached, Scalars, missing_package
from lehr.errors import InputError

PROJECT_NAME = "TRACKIO_PROJECT"
PROJECT = "lehr"
"""Project of the runs, where TRACKIO_PROJECT names no other."""
ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


class TrackioLogger(Logger):
    """Logs a run to Trackio: options as its config, scalars of steps and epochs over the count of batches done.

    Raises:
        InputError: Trackio is not installed, or is to store the run on another machine.
    """

    name = "trackio"

    def __init__(self) -> None:
        named = next((name for name in ELSEWHERE if os.environ.get(name)), None)
        if named is not None:  # if it cannot be asked how far the run reaches
            raise InputError(
                f"--loggers trackio: stores runs on this machine. Unset {named}; `trackio sync` uploads them."
            )
        try:
            import trackio
            from trackio.sqlite_storage import SQLiteStorage
        except ImportError as error:
            raise missing_package(self.name, error) from None
        self._trackio: Any = trackio
        self._store: Any = SQLiteStorage
        self._run: Any = None
        for module in (trackio, trackio.run, trackio.utils):
            vars(module)["print"] = _say_nothing  # the terminal belongs to the run

    def begin(self, run: LoggedRun) -> Reached:
        """Begin a run, or resume the one of the same name and id."""
        project, name = os.environ.get(PROJECT_NAME) or PROJECT, f"{run.name}-{run.id[:6]}"
        reached = self._reached(project, name)
        self._run = self._trackio.init(
            project,
            name,
            config=json.loads(json.dumps({**run.options, "lehr": dict(run.about)}, default=str)),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return reached

    def log(self, scalars: Scalars) -> None:
        """Log scalars; those of an epoch have its number among them."""
        values = {name: value for name, value in scalars.values.items() if name != "step"}  # which is the axis
        axis = {} if scalars.epoch is None else {"epoch": scalars.epoch}
        self._run.log({**values, **axis}, step=scalars.step)

    def image(self, name: str, file: Path, step: int) -> None:
        """Log an image."""
        self._run.log({f"images/{name}": self._trackio.Image(str(file))}, step=step)

    def artifact(self, file: Path) -> None:
        """Keep a file with the run."""
        self._run.log_artifact(str(file), name=f"{self._run.name}-{file.stem}", type="report")

    def close(self, finished: bool) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()

    def _reached(self, project: str, name: str) -> Reached:
        """Find out how far the stored scalars of a run reach."""
        steps, epochs = [-1], [-1]
        if self._store.get_project_db_path(project).exists():
            for row in self._store.get_logs(project, name, scalar_only=True):
                if "epoch" in row:
                    epochs.append(int(row["epoch"]))
                elif any(key.startswith("step/") for key in row):
                    steps.append(int(row["step"]))
        return Reached(max(steps), max(epochs))


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for `print`."""

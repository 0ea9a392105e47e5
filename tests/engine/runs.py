"""Short runs for tests: begun, stopped at a step, gone on with."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lehr.config import build_config
from lehr.engine.run import train
from lehr.engine.trainer import Trainer, TrainResult
from lehr.errors import Stopped

SMALL = {"imgsz": 64, "batch": 4, "epochs": 3, "width": 0.125, "depth": 0.33, "device": "cpu", "close_mosaic": 1}


def run(data: object, project: Path, name: str, **more: Any) -> TrainResult:
    """A run from its beginning."""
    return train(build_config({"data": str(data), "project": project, "name": name, **SMALL, **more}))


@contextmanager
def before_step(action: Callable[[Trainer], None]) -> Any:
    """Has something done before each step."""
    step = Trainer._step

    def changed(trainer: Trainer, *args: Any) -> None:
        action(trainer)
        step(trainer, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", changed)
        yield


def stop_at(step: int, number: int = signal.SIGTERM) -> Any:
    """Has a signal come during a step, counted over the run from 0."""

    def act(trainer: Trainer) -> None:
        if trainer.state.step == step:
            signal.raise_signal(number)

    return before_step(act)


def stopped_run(data: object, project: Path, name: str, step: int, **more: Any) -> Path:
    """The folder of a run that was stopped during a step."""
    with stop_at(step), pytest.raises(Stopped):
        run(data, project, name, **more)
    return project / name

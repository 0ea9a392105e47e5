"""Short runs for tests: begun, stopped at a step, gone on with."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lehr.callbacks.callback import FunctionCallback
from lehr.callbacks.events import BatchStart
from lehr.config import build_config
from lehr.engine import run as engine
from lehr.engine.result import TrainResult
from lehr.errors import Stopped

SMALL = {"imgsz": 64, "batch": 4, "epochs": 2, "width": 0.0625, "depth": 0.01, "device": "cpu", "close_mosaic": 1}
LEARNING = {"width": 0.125, "depth": 0.33}
"""A model that learns what the small one cannot."""
LISTENING: list[object] = []
"""Callbacks of the runs that are begun or resumed here."""


class PowerCut(BaseException):
    """Ends a run as a power cut does: nothing catches it."""


def run(data: object, project: Path, name: str, **more: Any) -> TrainResult:
    """Train a run from its beginning; on the CPU in float32: what `--amp auto` takes depends on its instructions."""
    given = {**SMALL, **more}
    if given["device"] == "cpu":
        given.setdefault("amp", "off")
    config = build_config({"data": str(data), "project": project, "name": name, **given})
    return engine.train(config, callbacks=tuple(LISTENING))


def resume(target: Path | None = None, changes: Mapping[str, Any] | None = None) -> TrainResult:
    """Go on with a run."""
    return engine.resume(target, changes, callbacks=tuple(LISTENING))


@contextmanager
def listening(*callbacks: object) -> Iterator[None]:
    """Have callbacks listen to the runs that are begun or resumed meanwhile."""
    LISTENING.extend(callbacks)
    try:
        yield
    finally:
        del LISTENING[len(LISTENING) - len(callbacks) :]


def on(method: str, action: Callable[[Any], object]) -> Any:
    """Have something done at each event of a kind."""
    return listening(FunctionCallback(method, action))


def before_step(action: Callable[[BatchStart], object]) -> Any:
    """Have something done before each step."""
    return on("on_train_batch_start", action)


def stop_at(step: int, number: int = signal.SIGTERM) -> Any:
    """Have a signal come during a step, counted over the run from 0."""

    def act(event: BatchStart) -> None:
        if event.step == step:
            signal.raise_signal(number)

    return before_step(act)


def stopped_run(data: object, project: Path, name: str, step: int, **more: Any) -> Path:
    """Return the folder of a run that was stopped during a step."""
    with stop_at(step), pytest.raises(Stopped):
        run(data, project, name, **more)
    return project / name

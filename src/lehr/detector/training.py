"""Training a detector from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch

from lehr.callbacks.callback import FunctionCallback
from lehr.config import build_config
from lehr.detector.loaded import DetectorBase
from lehr.models.build import anchor_head
from lehr.runtime.environment import tidy_imports

if TYPE_CHECKING:
    from lehr.engine.result import TrainResult
    from lehr.train_options import TrainOptions


class TrainingMixin(DetectorBase):
    """Adds training to a detector."""

    def add_callback(self, method: str, function: Callable[[Any], object]) -> None:
        """Call a function at an event of every training to come.

        Args:
            method: the event's method, e.g. on_train_epoch_end; `lehr.callbacks.callback` lists them.
            function: called with the event.

        Raises:
            InputError: there is no such event.
        """
        self._callbacks.append(FunctionCallback(method, function))

    def train(
        self,
        *,
        resume: str | Path | Literal[True] | None = None,
        callbacks: Sequence[object] = (),
        verbose: bool = True,
        **options: Unpack[TrainOptions],
    ) -> TrainResult:
        """Train, and become the best of the run.

        Args:
            callbacks: listeners to the run's events, beside those that were added.
            verbose: print the run's course; else only the logger `lehr` and the run's log have it.
            resume: a run's folder or checkpoint to go on with, or True for the newest interrupted run; the options are
                then those that may change, and the model is the run's.
            options: those of `lehr train`, with underscores: data, epochs, imgsz, batch, ...

        Raises:
            InputError: an option or the data cannot be used.
        """
        with tidy_imports():
            from lehr.engine.run import resume as go_on
            from lehr.engine.run import train

        listeners, given = (*self._callbacks, *callbacks), _as_text(options)
        if resume is not None:
            result = go_on(None if resume is True else Path(resume), given, listeners, verbose)
            self._become(result.best, _first_device(str(given.get("device", "auto"))))
            return result
        if self._export is not None:
            _ = self.model  # which there is none of
        start: dict[str, Any] = {"model": self._name}
        if self._model is not None and self._weights is not None:
            scale, head = self._model.scale, anchor_head(self._model)
            start |= {"weights": self._weights, "depth": scale.depth, "width": scale.width}
            start |= {} if head is None else {"anchors": head.anchors.shape[1]}
        config = build_config({**start, **given})
        result = train(config, listeners, verbose)
        self._become(result.best, _first_device(config.devices.device))
        return result


def _first_device(devices: str) -> str:
    return devices.split(",")[0]


def _as_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with data and devices as the shell has them: paths, indices and torch's devices become text."""
    given = dict(options)
    if isinstance(given.get("data"), os.PathLike):
        given["data"] = os.fspath(given["data"])
    device = given.get("device")
    if isinstance(device, int | torch.device):
        given["device"] = str(device)
    elif isinstance(device, list | tuple):
        given["device"] = ",".join(map(str, device))
    return given

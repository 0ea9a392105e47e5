"""Training a detector from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from lehr.callbacks.callback import FunctionCallback
from lehr.config import build_config
from lehr.detector.for_python import python_spelling, require_known
from lehr.detector.loaded import DetectorBase
from lehr.models.build import anchor_head
from lehr.options import option_names
from lehr.runtime.environment import tidy_imports

if TYPE_CHECKING:
    from lehr.engine.result import TrainResult


class TrainingBase(DetectorBase):
    """The work of the method that trains."""

    def add_callback(self, method: str, function: Callable[[Any], object]) -> None:
        """Call a function at an event of every training to come.

        Args:
            method: the event's method, e.g. on_train_epoch_end; `lehr.callbacks.callback` lists them.
            function: called with the event.

        Raises:
            InputError: there is no such event.
        """
        self._callbacks.append(FunctionCallback(method, function))

    def _train(
        self,
        resume: str | Path | Literal[True] | None,
        callbacks: Sequence[object],
        verbose: bool,
        options: Mapping[str, Any],
    ) -> TrainResult:
        with tidy_imports():
            from lehr.engine.run import resume as resume_run
            from lehr.engine.run import train

        with python_spelling():
            require_known("train", options, (*option_names(), "hyp", "resume", "callbacks", "verbose"))
            listeners, given = (*self._callbacks, *callbacks), _as_text(options)
            if resume is not None:
                result = resume_run(None if resume is True else Path(resume), given, listeners, verbose)
                self._become(result.best, _first_device(str(given.get("device", "auto"))))
                return result
            if self._export is not None:
                _ = self.model  # raises: an export has none
            start: dict[str, Any] = {"model": self._name, **self._scale}
            if self._device not in (None, "auto"):
                start["device"] = str(self._device)
            if self._model is not None and self._weights is not None:
                scale, head = self._model.scale, anchor_head(self._model)
                start |= {"weights": self._weights, "depth": scale.depth, "width": scale.width}
                start |= {} if head is None else {"anchors": head.anchors.shape[1]}
            config = build_config({**start, **given})
            result = train(config, listeners, verbose)
            self._become(result.best, _first_device(config.devices.device))
            self._data = config.data.data
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

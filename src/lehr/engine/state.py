"""The training state: everything the next step needs, in one object."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lehr.models.detection import DetectionModel
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma


@dataclass(slots=True)
class TrainState:
    """Where a run stands.

    Attributes:
        model: the weights that are trained.
        optimizer: the optimizer with its moments.
        ema: the average of the weights; None when it is off.
        stopping: the best result and early stopping's memory.
        step: batches seen since the start of the run.
        epoch: the epoch that runs or comes next, from 0.
        last_update: the step of the last optimizer step; -1 before the first.
        class_maps: each class's mAP50-95 in the last validation; empty before the first.
    """

    model: DetectionModel
    optimizer: torch.optim.Optimizer
    ema: ModelEma | None
    stopping: EarlyStopping
    step: int = 0
    epoch: int = 0
    last_update: int = -1
    class_maps: tuple[float, ...] = ()

    @property
    def evaluated_model(self) -> DetectionModel:
        """The weights that are validated and saved: the average where there is one."""
        if self.ema is None:
            return self.model
        model = self.ema.model
        assert isinstance(model, DetectionModel)
        return model

"""The training state: everything the next step needs, in one object that saves and loads itself.

Randomness has no state (see `lehr.rng`), so there is nothing else: two runs with equal states continue identically.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from lehr.checkpoint.results_csv import Row
from lehr.engine.guard import Guard
from lehr.engine.state_fit import check_gradients, check_optimizer, check_scaler, check_tensors
from lehr.evaluation.metrics import Metrics
from lehr.models.detection import DetectionModel
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.optimizer import load_optimizer
from lehr.techniques.precision import FIRST_SCALE, Precision, new_scaler, scaler_state


@dataclass(slots=True)
class EpochSums:
    """Running sums of an epoch.

    Attributes:
        losses: (parts + 1,) on the device: the sum of each part of the loss, and the number of images for which it was
            finite.
        images: images seen.
        instances: objects seen.
        replaced: images replaced since they could no longer be read.
        skipped: optimizer steps skipped since a loss or the gradient was not finite.
        updates: optimizer steps made.
        norms: sum of the norms of their gradients, before clipping.
        clipped: how many of them were clipped.
        seconds: spent in the loop over the batches.
    """

    losses: Tensor
    images: int = 0
    instances: int = 0
    replaced: int = 0
    skipped: int = 0
    updates: int = 0
    norms: float = 0.0
    clipped: int = 0
    seconds: float = 0.0

    @classmethod
    def of_parts(cls, parts: Sequence[str], device: torch.device) -> EpochSums:
        """Return empty sums for the parts of a loss."""
        return cls(torch.zeros(len(parts) + 1, device=device))

    def add(self, losses: Tensor, finite: Tensor, images: int) -> None:
        """Add a batch's losses where they are finite, without waiting for the device.

        Args:
            losses: (parts,), summed over the images.
            finite: (), whether all of them are.
            images: images in the batch.
        """
        self.losses[:-1] += torch.where(finite, losses, 0)
        self.losses[-1] += finite * images
        self.images += images

    def add_update(self, norm: float, max_norm: float) -> None:
        """Count an optimizer step that was made.

        Args:
            norm: of its gradient, before clipping.
            max_norm: the bound of the norm; 0 is not a bound.
        """
        self.updates += 1
        self.norms += norm
        self.clipped += 0 < max_norm < norm

    @property
    def mean_norm(self) -> float | None:
        """Mean norm of the gradients, before clipping; None without an optimizer step."""
        return self.norms / self.updates if self.updates else None

    @property
    def clipped_share(self) -> float | None:
        """Share of the optimizer steps that were clipped, 0 to 1; None without one."""
        return self.clipped / self.updates if self.updates else None

    def mean_losses(self) -> list[float]:
        """Return the mean of each part of the loss per image; waits for the device."""
        *losses, images = self.losses.tolist()
        return [loss / max(images, 1) for loss in losses]

    @property
    def images_per_second(self) -> float:
        return self.images / max(self.seconds, 1e-9)


@dataclass(slots=True)
class Recovery:
    """Counters of non-finite steps.

    Attributes:
        skipped: optimizer steps skipped in the whole run.
        streak: consecutive optimizer steps skipped until now.
        rollbacks: number of rollbacks to a checkpoint.
        lr_scale: multiple of the plan's learning rates.
    """

    skipped: int = 0
    streak: int = 0
    rollbacks: int = 0
    lr_scale: float = 1.0


@dataclass(slots=True)
class TrainState:
    """State of a run.

    Attributes:
        model: the trained weights.
        optimizer: the optimizer with its moments.
        ema: the average of the weights; None when it is off.
        stopping: the best result and the state of early stopping.
        sums: running sums of the epoch.
        precision: in which the model computes.
        scaler: scales the loss in float16; None in the other precisions.
        step: batches seen since the start of the run.
        epoch: the current or next epoch, from 0.
        last_update: step of the last optimizer update; -1 before the first.
        finite: () on the device, whether every loss since the last optimizer step was finite.
        class_maps: each class's mAP50-95 in the last validation, of all detections kept; empty before the first.
        recovery: counters of non-finite steps.
        history: the rows of results.csv.
        best_metrics: metrics of the best epoch; None before the first validation.
        seconds: time spent on the run.
        finished: whether the run has reached its end.
        guard: evaluations of the start and of the best epoch; None in a run whose start is not evaluated.
        older_guard: the same on older data; None without older data, or if their classes do not start from weights.
    """

    model: DetectionModel
    optimizer: torch.optim.Optimizer
    ema: ModelEma | None
    stopping: EarlyStopping
    sums: EpochSums
    precision: Precision = Precision.FLOAT32
    scaler: torch.amp.GradScaler | None = None
    step: int = 0
    epoch: int = 0
    last_update: int = -1
    finite: Tensor = field(default_factory=lambda: torch.ones((), dtype=torch.bool))
    class_maps: tuple[float, ...] = ()
    recovery: Recovery = field(default_factory=Recovery)
    history: list[Row] = field(default_factory=list)
    best_metrics: Metrics | None = None
    seconds: float = 0.0
    finished: bool = False
    guard: Guard | None = None
    older_guard: Guard | None = None

    @property
    def start_is_due(self) -> bool:
        """True until the start is evaluated."""
        if self.guard is not None:
            return not self.history
        return self.older_guard is not None and self.older_guard.start is None and self.step == 0

    @property
    def evaluated_model(self) -> DetectionModel:
        """The weights that are validated and saved: the average, if there is one."""
        if self.ema is None:
            return self.model
        model = self.ema.model
        assert isinstance(model, DetectionModel)
        return model

    def use_precision(self, precision: Precision, scale: float = FIRST_SCALE) -> None:
        """Switch to a precision.

        Args:
            precision: the precision from now on.
            scale: initial loss scale, if that precision needs one.
        """
        self.precision = precision
        self.scaler = new_scaler(self.sums.losses.device, precision, scale)

    def state_dict(self) -> dict[str, Any]:
        """The complete state as tensors, numbers and text; the tensors are those in use, not copies.

        It includes gradients if batches have accumulated since the last optimizer step.
        """
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "ema": None
            if self.ema is None
            else {"updates": self.ema.updates, "model": dict(self.ema.model.state_dict())},
            "precision": str(self.precision),
            "scaler": None if self.scaler is None else scaler_state(self.scaler),
            "gradients": {
                name: parameter.grad for name, parameter in self.model.named_parameters() if parameter.grad is not None
            },
            "stopping": {"best": self.stopping.best, "best_epoch": self.stopping.best_epoch},
            "sums": {name: getattr(self.sums, name) for name in EpochSums.__slots__},
            "recovery": asdict(self.recovery),
            "step": self.step,
            "epoch": self.epoch,
            "last_update": self.last_update,
            "finite": self.finite,
            "class_maps": list(self.class_maps),
            "history": [dict(row) for row in self.history],
            "best_metrics": None if self.best_metrics is None else asdict(self.best_metrics),
            "seconds": self.seconds,
            "finished": self.finished,
            **({} if self.guard is None else {"guard": self.guard.state_dict()}),
            **({} if self.older_guard is None else {"older_guard": self.older_guard.state_dict()}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict` gave, from any device.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: the state belongs to another model or optimizer.
        """
        device = self.sums.losses.device
        self._check(state)
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        if self.ema is not None:
            self.ema.model.load_state_dict(state["ema"]["model"])
            self.ema.updates = state["ema"]["updates"]
        self.use_precision(Precision(state["precision"]))
        if self.scaler is not None:
            values = {
                name: value.item() if isinstance(value, Tensor) else value for name, value in state["scaler"].items()
            }
            self.scaler.load_state_dict(values)
            if isinstance(state["scaler"]["scale"], Tensor):  # after the first step it is a tensor, as before
                self.scaler._lazy_init_scale_growth_tracker(device)
        gradients = state["gradients"]
        for name, parameter in self.model.named_parameters():
            parameter.grad = gradients[name].to(device) if name in gradients else None
        self.stopping.best, self.stopping.best_epoch = state["stopping"]["best"], state["stopping"]["best_epoch"]
        self.sums = EpochSums(**{**state["sums"], "losses": state["sums"]["losses"].to(device)})
        self.recovery = Recovery(**state["recovery"])
        self.step, self.epoch, self.last_update = state["step"], state["epoch"], state["last_update"]
        self.finite = state["finite"].to(device)
        self.class_maps = tuple(state["class_maps"])
        self.history = [dict(row) for row in state["history"]]
        metrics = state["best_metrics"]
        self.best_metrics = None if metrics is None else Metrics.from_dict(metrics)
        self.seconds, self.finished = state["seconds"], state["finished"]
        guard, older = state.get("guard"), state.get("older_guard")
        self.guard = None if guard is None else Guard.from_state_dict(guard)
        self.older_guard = None if older is None else Guard.from_state_dict(older)

    def _check(self, state: Mapping[str, Any]) -> None:
        """Check that a state fits this one, so that the next step can run; nothing is changed.

        Raises:
            KeyError, TypeError, ValueError: it does not.
        """
        check_tensors("weights", state["model"], self.model.state_dict())
        if self.ema is not None:
            check_tensors("average weights", state["ema"]["model"], self.ema.model.state_dict())
        check_optimizer(state["optimizer"], self.optimizer)
        check_gradients(state["gradients"], dict(self.model.named_parameters()))
        if Precision(state["precision"]) is Precision.FLOAT16:
            check_scaler(state["scaler"])
        losses, finite = state["sums"]["losses"], state["finite"]
        if losses.shape != self.sums.losses.shape or losses.dtype != self.sums.losses.dtype:
            raise ValueError("its sums belong to other parts of the loss")
        if finite.shape != self.finite.shape or finite.dtype != self.finite.dtype:
            raise ValueError("its flag of finite losses is invalid")
        if len(state["class_maps"]) not in (0, len(self.model.names)):
            raise ValueError(f"its results are of {len(state['class_maps'])} classes")

"""Listening to a run: a callback is any object with some of the methods below.

```python
class Printer:
    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        print(event.epoch, event.metrics.map50)

Detector("yolov8n").train(data="shapes", callbacks=[Printer()])
```

Methods are called on rank 0, or on every process where `all_ranks` is True. A callback with `state_dict` and
`load_state_dict` survives a kill and a resume: its state is saved with each checkpoint, as plain
data. What a callback raises is reported and ends nothing, unless `--strict-callbacks` is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from lehr.callbacks.events import (
    BatchEnd,
    BatchStart,
    BestImproved,
    FitEpochEnd,
    ModelSave,
    PretrainRoutineEnd,
    PretrainRoutineStart,
    Rollback,
    RunException,
    StartEvaluated,
    Teardown,
    TrainEnd,
    TrainEpochEnd,
    TrainEpochStart,
    TrainStart,
    ValBatchEnd,
    ValEnd,
    ValStart,
)
from lehr.errors import InputError, did_you_mean


class Callback:
    """A base class, so that editors know the methods; deriving from it is optional, and so is each method.

    Attributes:
        all_ranks: call it on every process that trains, not on rank 0 alone.
    """

    all_ranks: bool = False

    def on_pretrain_routine_start(self, event: PretrainRoutineStart) -> None:
        """Called before data and model are prepared."""

    def on_pretrain_routine_end(self, event: PretrainRoutineEnd) -> None:
        """Called when data and model are ready."""

    def on_train_start(self, event: TrainStart) -> None:
        """Called when the training loop begins."""

    def on_start_evaluated(self, event: StartEvaluated) -> None:
        """Called when the weights that the run starts from have been evaluated."""

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Called when an epoch begins, or resumes in its middle."""

    def on_train_batch_start(self, event: BatchStart) -> None:
        """Called before each training batch."""

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Called when the values of a batch have arrived from the device."""

    def on_train_epoch_end(self, event: TrainEpochEnd) -> None:
        """Called after the last batch of an epoch, before its validation."""

    def on_val_start(self, event: ValStart) -> None:
        """Called when a validation begins."""

    def on_val_batch_end(self, event: ValBatchEnd) -> None:
        """Called after each batch of a validation."""

    def on_val_end(self, event: ValEnd) -> None:
        """Called with the results of a validation."""

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Called after an epoch and its validation."""

    def on_best_improved(self, event: BestImproved) -> None:
        """Called when an epoch is better than all before."""

    def on_model_save(self, event: ModelSave) -> None:
        """Called when a checkpoint is on the disk."""

    def on_rollback(self, event: Rollback) -> None:
        """Called when the run has rolled back to an earlier checkpoint."""

    def on_exception(self, event: RunException) -> None:
        """Called when the run ends with an error."""

    def on_train_end(self, event: TrainEnd) -> None:
        """Called when the training is done."""

    def teardown(self, event: Teardown) -> None:
        """Called last, however the run ends: close files and connections."""


EVENT_METHODS = tuple(name for name in vars(Callback) if name.startswith("on_") or name == "teardown")
"""Names of the events that functions can be added to, in the order of a run."""


@runtime_checkable
class Stateful(Protocol):
    """A callback whose state survives a kill and a resume."""

    def state_dict(self) -> dict[str, Any]:
        """Return its state: numbers, text, tensors, and lists and dictionaries of these."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        ...


class FunctionCallback:
    """A function that listens to one event, as `Detector.add_callback` takes it.

    Args:
        method: the event's method, e.g. on_train_epoch_end.
        function: called with the event.

    Raises:
        InputError: there is no such event.
    """

    def __init__(self, method: str, function: Callable[[Any], object]) -> None:
        if method not in EVENT_METHODS:
            raise InputError(f"There is no event '{method}'. {did_you_mean(method, EVENT_METHODS)}")
        if not callable(function):
            raise InputError(f"The callback of {method} must be a function, not {type(function).__name__}.")
        self.name = f"{getattr(function, '__qualname__', type(function).__name__)} ({method})"
        setattr(self, method, function)

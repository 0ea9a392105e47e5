"""Events of a run, which its listeners receive. All are immutable; none makes the training wait for the device.

Every event but the first carries `run`, the same object for a whole run; `epoch` counts from 0, and `step` is the
number of batches done so far in the run, unless stated otherwise. Values of a batch are read when they have arrived
from the device, so `BatchEnd` may come a few steps late, always in order and always before the epoch ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from lehr.callbacks.run_info import Run
from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.evaluation.against_start import AgainstStart
from lehr.evaluation.metrics import Metrics
from lehr.sample import Dataset
from lehr.techniques.multi_scale import model_input

if TYPE_CHECKING:  # a page of a run does without what evaluates models, which takes 180 MiB
    from lehr.evaluation.evaluator import Evaluation


@dataclass(frozen=True, slots=True)
class PretrainRoutineStart:
    """The run has its folder; data and model are about to be prepared.

    Attributes:
        folder: the run's folder.
        config: the run's options.
        resumed: whether the run resumes from a checkpoint.
    """

    method: ClassVar[str] = "on_pretrain_routine_start"
    folder: Path
    config: TrainConfig
    resumed: bool


@dataclass(frozen=True, slots=True)
class PretrainRoutineEnd:
    """Data and model are ready.

    Attributes:
        notes: findings of the preparation, one line each, as in the log.
        dataset: what is trained on, its splits as the run uses them.
    """

    method: ClassVar[str] = "on_pretrain_routine_end"
    run: Run
    notes: tuple[str, ...]
    dataset: Dataset | None = None


@dataclass(frozen=True, slots=True)
class TrainStart:
    """The training loop begins.

    Attributes:
        epoch: the epoch that begins or resumes, from 0.
        resumed: whether the run resumes from a checkpoint.
    """

    method: ClassVar[str] = "on_train_start"
    run: Run
    epoch: int
    step: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class StartEvaluated:
    """The weights that a run starts from are evaluated, and are its best until an epoch is better (`--guard`).

    Attributes:
        row: row 0 of results.csv, by column.
        metrics: of the validation split.
        older: of the older data; None where there are none.
    """

    method: ClassVar[str] = "on_start_evaluated"
    run: Run
    row: Mapping[str, float | int | str | None]
    metrics: Metrics
    older: Metrics | None


@dataclass(frozen=True, slots=True)
class TrainEpochStart:
    """An epoch begins, or resumes in its middle after a resume or a rollback; `batches` are left of it."""

    method: ClassVar[str] = "on_train_epoch_start"
    run: Run
    epoch: int
    step: int
    batches: int


@dataclass(frozen=True, slots=True)
class BatchStart:
    """A batch is about to be trained on.

    Attributes:
        batch: this process's share of the batch, drawn, on the device.
        size: longest side that multi-scale training resizes it to, pixels; None does not resize it.
        precision: in which the model computes, e.g. float32.
    """

    method: ClassVar[str] = "on_train_batch_start"
    run: Run
    epoch: int
    step: int
    batch: Batch
    size: int | None
    precision: str

    def model_input(self) -> tuple[Tensor, Tensor]:
        """Return the batch as the model sees it: images float32 (n, 3, h, w), 0 to 1, and boxes (n, objects, 4), xyxy.

        Both are new tensors on the device, so they cost memory and time there; nothing waits for them.
        """
        return model_input(self.batch, self.size)


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """The values of a batch have arrived; a few steps late where the device is ahead of the host.

    Attributes:
        epoch: the batch's, from 0.
        step: the batch, counted over the run from 0.
        images: images of the whole batch, those of other processes included.
        losses: each part of the loss times its gain, summed over these images.
        finite: whether the batch was finite; of a batch that completed an optimizer step, whether the step was.
        updated: whether it completed an optimizer step.
        norm: norm of the gradient before it was clipped; None where no optimizer step was due.
        rates: learning rates of weights, norms and biases.
        momentum: momentum, or beta1.
        accumulate: batches to an optimizer step.
        loss_scale: what the loss was multiplied by in float16; None in other precisions.
    """

    method: ClassVar[str] = "on_train_batch_end"
    run: Run
    epoch: int
    step: int
    images: int
    losses: Mapping[str, float]
    finite: bool
    updated: bool
    norm: float | None
    rates: Mapping[str, float]
    momentum: float
    accumulate: int
    loss_scale: float | None


@dataclass(frozen=True, slots=True)
class TrainEpochEnd:
    """All batches of an epoch are done; its validation comes next.

    Attributes:
        losses: mean of each part of the loss per image.
        images: images seen.
        instances: objects seen.
        skipped: optimizer steps skipped, their loss or gradient not finite.
        replaced: samples that replaced an image that could no longer be read.
        seconds: spent in the loop over the batches.
        images_per_second: of that loop.
    """

    method: ClassVar[str] = "on_train_epoch_end"
    run: Run
    epoch: int
    step: int
    losses: Mapping[str, float]
    images: int
    instances: int
    skipped: int
    replaced: int
    seconds: float
    images_per_second: float


@dataclass(frozen=True, slots=True)
class ValStart:
    """A validation begins: that of an epoch, or with step 0 that of the weights that the run starts from."""

    method: ClassVar[str] = "on_val_start"
    run: Run
    epoch: int
    step: int


@dataclass(frozen=True, slots=True)
class ValBatchEnd:
    """A batch of a validation is done.

    Attributes:
        done: images done so far; those of the older data come after those of the validation split.
    """

    method: ClassVar[str] = "on_val_batch_end"
    run: Run
    epoch: int
    done: int


@dataclass(frozen=True, slots=True)
class ValEnd:
    """A validation has ended.

    Attributes:
        evaluation: its metrics, losses and seconds.
        older: the evaluation on the older data (`--keep-val`); None where there are none.
    """

    method: ClassVar[str] = "on_val_end"
    run: Run
    epoch: int
    step: int
    evaluation: Evaluation
    older: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class FitEpochEnd:
    """An epoch is done, its validation too: the row of results.csv is known.

    Attributes:
        row: the epoch's row of results.csv, by column.
        losses: mean of each part of the training loss per image.
        instances: objects seen in training.
        metrics: of the validation.
        rates: learning rates of weights, norms and biases at the epoch's last step.
        images_per_second: of the training loop, without the validation.
        seconds: spent on the run so far.
        remaining: seconds to the end of the run, estimated.
        memory: peak memory so far, MiB: of the device on a GPU, else of the process; None where not known.
        best: whether it is the best epoch so far.
        older: of the evaluation on the older data (`--keep-val`); None where there are none.
    """

    method: ClassVar[str] = "on_fit_epoch_end"
    run: Run
    epoch: int
    step: int
    row: Mapping[str, float | int | str | None]
    losses: Mapping[str, float]
    instances: int
    metrics: Metrics
    rates: Mapping[str, float]
    images_per_second: float
    seconds: float
    remaining: float
    memory: float | None
    best: bool
    older: Metrics | None = None


@dataclass(frozen=True, slots=True)
class BestImproved:
    """An epoch is better than all before, by the `metrics` of its validation; comes before its `FitEpochEnd`."""

    method: ClassVar[str] = "on_best_improved"
    run: Run
    epoch: int
    step: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class ModelSave:
    """A checkpoint is on the disk, and weights where the save had some; sent once the writing thread is done.

    Attributes:
        epoch: the epoch that ran or came next when the state was taken, from 0.
        step: batches done by then.
        checkpoint: the file with the whole training state.
        last: the weights of the last epoch; None where they were not written.
        best: the weights of the best epoch; None where they were not written.
    """

    method: ClassVar[str] = "on_model_save"
    run: Run
    epoch: int
    step: int
    checkpoint: Path
    last: Path | None
    best: Path | None


@dataclass(frozen=True, slots=True)
class Rollback:
    """The run has rolled back to an earlier checkpoint, since too many steps in a row were not finite.

    Attributes:
        epoch: the epoch that it has rolled back to, from 0.
        step: batches done there.
        from_step: batches done before.
        checkpoint: the file that it has rolled back to.
        lr_scale: multiple of the planned learning rates from now on.
        precision: in which the model computes from now on.
        rollbacks: number of rollbacks with lower rates so far, this one included.
    """

    method: ClassVar[str] = "on_rollback"
    run: Run
    epoch: int
    step: int
    from_step: int
    checkpoint: Path
    lr_scale: float
    precision: str
    rollbacks: int


@dataclass(frozen=True, slots=True)
class RunException:
    """The run ends with an error, a signal that asked it to stop included; its state is saved where that is possible.

    Attributes:
        run: the run; None where it failed in its preparation.
    """

    method: ClassVar[str] = "on_exception"
    run: Run | None
    error: BaseException


@dataclass(frozen=True, slots=True)
class TrainEnd:
    """The training is done, all files written.

    Attributes:
        epochs: epochs done.
        best_epoch: from 0; -1 where no epoch is better than the start.
        metrics: of the best epoch.
        best: its weights.
        last: the weights of the last epoch.
        seconds: spent on the run.
        stopped_early: whether early stopping ended it.
        against_start: the best and the last epoch compared with the start; None where that was not evaluated.
        older_against_start: the same on the older data (`--keep-val`); None where that was not evaluated on them.
        diverged: the reason where the run ended before its last epoch since it could not continue; else empty.
    """

    method: ClassVar[str] = "on_train_end"
    run: Run
    epochs: int
    step: int
    best_epoch: int
    metrics: Metrics
    best: Path
    last: Path
    seconds: float
    stopped_early: bool
    against_start: AgainstStart | None = None
    older_against_start: AgainstStart | None = None
    diverged: str = ""


@dataclass(frozen=True, slots=True)
class Teardown:
    """The last event of a run, however it ends: files and connections are to be closed.

    Attributes:
        run: the run; None where it failed in its preparation.
    """

    method: ClassVar[str] = "teardown"
    run: Run | None


Event = (
    PretrainRoutineStart
    | PretrainRoutineEnd
    | TrainStart
    | StartEvaluated
    | TrainEpochStart
    | BatchStart
    | BatchEnd
    | TrainEpochEnd
    | ValStart
    | ValBatchEnd
    | ValEnd
    | FitEpochEnd
    | BestImproved
    | ModelSave
    | Rollback
    | RunException
    | TrainEnd
    | Teardown
)

"""Divergence monitoring: non-finite steps are counted, and too many of them roll the run back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lehr.callbacks.dispatcher import Dispatcher
from lehr.callbacks.events import BatchEnd, Rollback
from lehr.checkpoint.format import Checkpoint, DamagedCheckpoint, Position, newest_checkpoint
from lehr.data.batch import Batch
from lehr.distributed.collectives import Ranks
from lehr.distributed.step_sync import StepFlags
from lehr.engine.checkpointer import Checkpointer
from lehr.engine.state import Recovery, TrainState
from lehr.engine.step import StepOutcome
from lehr.errors import Diverged, LehrError
from lehr.options import ScheduleOptions
from lehr.runtime.counted import counted
from lehr.techniques.non_finite import StepStatus, StepStatusQueue, describe
from lehr.techniques.plan import TrainingPlan
from lehr.techniques.precision import Precision, safer

BEHIND = 2
"""Steps after which several processes on CUDA read the outcome of a step: all at the same step, without waiting."""
MAX_NAMED = 64
"""Maximum number of images of a batch that a message names."""


class NotFinite(Exception):
    """Too many consecutive steps were not finite."""


class DivergenceMonitor:
    """Watches the steps of a run.

    Args:
        state: the training state.
        options: how many steps may be skipped, and how many rollbacks are allowed.
        plan: rates of every step.
        parts: names of the parts of the loss.
        paths: maps an image of the training split to its file.
        device: the device of this process.
        ranks: the processes that train together.
        checkpointer: has the run's checkpoints.
        folder: the run's folder.
        callbacks: notified of each batch and each rollback.
        say: reports each skipped step.
    """

    def __init__(
        self,
        state: TrainState,
        *,
        options: ScheduleOptions,
        plan: TrainingPlan,
        parts: Sequence[str],
        paths: Callable[[int], Path],
        device: torch.device,
        ranks: Ranks,
        checkpointer: Checkpointer,
        folder: Path,
        callbacks: Dispatcher,
        say: Callable[[str], None],
    ) -> None:
        self._state = state
        self._options = options
        self._plan = plan
        self._parts = parts
        self._paths = paths
        self._device = device
        self._ranks = ranks
        self._checkpointer = checkpointer
        self._folder = folder
        self._callbacks = callbacks
        self._say = say
        self._queue = self._new_queue()
        self._suspects: list[StepStatus] = []
        self.stop: int | None = None
        """The signal that asked one of several processes to end, known to all of them."""
        self.save = False
        """True if one of several processes wants the state saved, known to all of them."""

    def post(self, batch: Batch, outcome: StepOutcome) -> None:
        """Queue the outcome of the current step; does not wait for the device.

        Args:
            batch: its images.
            outcome: of the step.
        """
        images = batch.whole or batch.indices.tolist()
        self._queue.post(
            self._state.step, images, outcome.loss, outcome.norm, outcome.finite, outcome.scale, outcome.flags
        )

    def look(self, wait: bool = False) -> None:
        """Count the skipped steps that the device has reported so far.

        Args:
            wait: wait until it has reported all.

        Raises:
            NotFinite: too many consecutive steps.
        """
        recovery, limit = self._state.recovery, self._options.skip_limit
        for status in self._queue.arrived(wait):
            if status.flags:
                self._take(StepFlags.of(status.flags))
            self._count(status)
            if self._callbacks.wants(BatchEnd.method):
                self._emit(status)
        if limit and recovery.streak >= limit:
            raise NotFinite

    def _count(self, status: StepStatus) -> None:
        recovery = self._state.recovery
        if not status.finite:
            self._suspects.append(status)
        if not status.updated:
            return
        if status.finite:
            assert status.norm is not None
            self._state.sums.add_update(status.norm, self._options.clip_norm)
            recovery.streak = 0
            self._suspects.clear()
            return
        recovery.skipped += 1
        self._state.sums.skipped += 1
        if status.overflowed:
            self._say(
                f"Optimizer step skipped: the gradient overflowed {Precision.FLOAT16}; the loss is scaled by "
                f"{status.scale or 0:g} / 2 from now on."
            )
            return
        recovery.streak += 1
        self._say(f"Optimizer step skipped: {self._described(status)}.")

    def _emit(self, status: StepStatus) -> None:
        run = self._callbacks.run
        assert run is not None
        rates, scale = self._plan.at(status.step), self._state.recovery.lr_scale
        self._callbacks.emit(
            BatchEnd(
                run=run,
                epoch=status.step // self._plan.batches,
                step=status.step,
                images=len(status.images),
                losses=dict(zip(self._parts, status.losses, strict=True)),
                finite=status.finite,
                updated=status.updated,
                norm=status.norm,
                rates=rates.by_group(scale),
                momentum=rates.momentum,
                accumulate=rates.accumulate,
                loss_scale=status.scale,
            )
        )

    def _take(self, flags: StepFlags) -> None:
        sums = self._state.sums
        sums.instances += flags.instances
        sums.replaced += flags.replaced
        self.save |= flags.save
        self.stop = self.stop or flags.stop

    def _new_queue(self) -> StepStatusQueue:
        behind = BEHIND if self._device.type == "cuda" else 0
        return StepStatusQueue(behind if self._ranks.is_distributed else None)

    def go_back(self) -> None:
        """Load the last good checkpoint, with lower learning rates.

        Raises:
            Diverged: the limit of rollbacks is reached.
            LehrError: there is no checkpoint to return to.
        """
        state, options, before = self._state, self._options, self._state.recovery
        skipped = counted(before.streak, "optimizer step was", "consecutive optimizer steps were")
        trouble = f"{skipped} not finite"
        precision, from_step = state.precision, state.step
        if precision is not Precision.FLOAT32:
            checkpoint = self._last_good(trouble)
            self._return(checkpoint, Recovery(before.skipped, 0, before.rollbacks, before.lr_scale))
            state.use_precision(safer(precision, self._device))
            self._say(
                f"{trouble} in {precision}. Rolled back to {checkpoint.path} ({checkpoint.position}); the run "
                f"continues in {state.precision}."
            )
            self._tell_rollback(checkpoint, from_step)
            return
        if before.rollbacks >= options.rollbacks:
            raise Diverged(
                f"{trouble}, after {counted(before.rollbacks, 'rollback')} to a checkpoint with lower "
                f"rates:\n{self._listed()}\nCheck these images and their labels, or restart with a smaller --lr0 or a "
                f"longer --warmup-epochs. {self._checkpointer.kept()}"
            )
        scale = before.lr_scale * options.rollback_lr
        checkpoint = self._last_good(trouble)
        self._return(checkpoint, Recovery(before.skipped, 0, before.rollbacks + 1, scale))
        state.use_precision(precision)
        self._say(
            f"{trouble}. Rolled back to {checkpoint.path} ({checkpoint.position}), learning rates x {scale:g} "
            f"(rollback {before.rollbacks + 1} of {options.rollbacks})."
        )
        self._tell_rollback(checkpoint, from_step)

    def _tell_rollback(self, checkpoint: Checkpoint, from_step: int) -> None:
        run, state = self._callbacks.run, self._state
        if run is not None:
            self._callbacks.emit(
                Rollback(
                    run=run,
                    epoch=state.epoch,
                    step=state.step,
                    from_step=from_step,
                    checkpoint=checkpoint.path,
                    lr_scale=state.recovery.lr_scale,
                    precision=str(state.precision),
                    rollbacks=state.recovery.rollbacks,
                )
            )

    def _last_good(self, trouble: str) -> Checkpoint:
        """Return the newest checkpoint outside such a streak; rank 0 reads it for all processes.

        Raises:
            LehrError: there is none.
        """
        return self._ranks.broadcast_from_rank0(lambda: self._read(trouble), Checkpoint, Position)

    def _read(self, trouble: str) -> Checkpoint:
        self._checkpointer.wait()
        try:
            checkpoint = newest_checkpoint(self._folder, self._say, lambda position: not position.skipping)
        except DamagedCheckpoint as error:
            raise LehrError(f"{trouble}, and no earlier checkpoint is intact.\n{error}") from None
        if checkpoint is None:
            raise LehrError(f"{trouble}, and there is no checkpoint to return to:\n{self._listed()}")
        return checkpoint

    def _return(self, checkpoint: Checkpoint, recovery: Recovery) -> None:
        """Load the state of a checkpoint; the best result since then stays the best, and so do its weights.

        Args:
            checkpoint: of this run.
            recovery: the recovery counters from now on.
        """
        state = self._state
        best = state.stopping.best, state.stopping.best_epoch, state.best_metrics
        guards = state.guard, state.older_guard
        state.load_state_dict(checkpoint.content["state"])
        if best[0] > state.stopping.best:
            state.stopping.best, state.stopping.best_epoch, state.best_metrics = best
            state.guard, state.older_guard = guards
        state.recovery = recovery
        state.sums.skipped = recovery.skipped - sum(int(row.get("skipped") or 0) for row in state.history)
        self._queue = self._new_queue()
        self._suspects.clear()

    def _described(self, seen: StepStatus) -> str:
        return describe(seen, self._parts, self._plan.batches)

    def _listed(self) -> str:
        """Describe the non-finite batches with their images."""
        lines = []
        for seen in self._suspects:
            paths = [str(self._paths(index)) for index in seen.images]
            more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
            lines.append(f"{self._described(seen)}; images {', '.join(paths[:MAX_NAMED])}{more}")
        return "\n".join(lines)

"""The lookout of a run: counts the steps that were not finite, and leads the run back when there are too many."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from lehr.checkpoint.format import Checkpoint, DamagedCheckpoint, newest_checkpoint
from lehr.data.batch import Batch
from lehr.distributed.step_sync import StepFlags
from lehr.engine.checkpointer import Checkpointer
from lehr.engine.setup import Setup
from lehr.engine.state import Recovery
from lehr.errors import Diverged, LehrError
from lehr.techniques.non_finite import StepStatus, StepStatusQueue, describe
from lehr.techniques.precision import Precision, safer

BEHIND = 2
"""Steps after which several processes on CUDA look at what a step came to: all at the same step, without a wait."""
MOST_NAMED = 64
"""Images of a batch that a message names."""


class NotFinite(Exception):
    """Too many steps in a row were not finite."""


class DivergenceMonitor:
    """Watches the steps of a run.

    Args:
        setup: the run.
        checkpointer: has its checkpoints.
        say: told of each step that was left out.
    """

    def __init__(self, setup: Setup, checkpointer: Checkpointer, say: Callable[[str], None]) -> None:
        self._setup = setup
        self._keeper = checkpointer
        self._say = say
        self._watch = self._new_watch()
        self._suspects: list[StepStatus] = []
        self.stop: int | None = None
        """The signal that one of several processes was asked to end by, as all of them know."""
        self.save = False
        """Whether one of several processes wants the state saved, as all of them know."""

    def post(
        self,
        batch: Batch,
        loss: Tensor,
        norm: Tensor | None,
        finite: Tensor,
        scale: Tensor | None = None,
        told: Tensor | None = None,
    ) -> None:
        """Takes note of what the present step came to; does not wait for the device.

        Args:
            batch: its images.
            loss: (parts,).
            norm: () of the gradient, None where no optimizer step was due.
            finite: (), whether the optimizer step, else the loss, was finite.
            scale: () of the loss, in float16.
            told: numbers for `Told.of`, where several processes train.
        """
        images = batch.whole or batch.indices.tolist()
        self._watch.post(self._setup.state.step, images, loss, norm, finite, scale, told)

    def look(self, wait: bool = False) -> None:
        """Counts the steps that were left out, as far as the device has told.

        Args:
            wait: wait until it has told all.

        Raises:
            NotFinite: too many in a row.
        """
        recovery, limit = self._setup.state.recovery, self._setup.config.schedule.skip_limit
        for seen in self._watch.arrived(wait):
            if seen.told:
                self._take(StepFlags.of(seen.told))
            if not seen.finite:
                self._suspects.append(seen)
            if not seen.updated:
                continue
            if seen.finite:
                recovery.streak = 0
                self._suspects.clear()
                continue
            recovery.skipped += 1
            self._setup.state.sums.skipped += 1
            if seen.overflowed:
                self._say(
                    f"Optimizer step left out: the gradient overflowed {Precision.FLOAT16}; the loss is scaled by "
                    f"{seen.scale or 0:g} / 2 from here on."
                )
                continue
            recovery.streak += 1
            self._say(f"Optimizer step left out: {self._described(seen)}.")
        if limit and recovery.streak >= limit:
            raise NotFinite

    def _take(self, told: StepFlags) -> None:
        sums = self._setup.state.sums
        sums.instances += told.instances
        sums.replaced += told.replaced
        self.save |= told.save
        self.stop = self.stop or told.stop

    def _new_watch(self) -> StepStatusQueue:
        behind = BEHIND if self._setup.device.type == "cuda" else 0
        return StepStatusQueue(behind if self._setup.ranks.is_distributed else None)

    def go_back(self) -> None:
        """Takes up the last good checkpoint, with lower rates.

        Raises:
            Diverged: it has gone back as often as it may.
            LehrError: there is nothing to go back to.
        """
        state, options, before = self._setup.state, self._setup.config.schedule, self._setup.state.recovery
        trouble = f"{before.streak} optimizer steps in a row were not finite"
        precision = state.precision
        if precision is not Precision.FLOAT32:
            checkpoint = self._last_good(trouble)
            self._return(checkpoint, Recovery(before.skipped, 0, before.rollbacks, before.lr_scale))
            state.use_precision(safer(precision, self._setup.device))
            self._say(
                f"{trouble} in {precision}: back to {checkpoint.path} ({checkpoint.position}), and on in "
                f"{state.precision}."
            )
            return
        if before.rollbacks >= options.rollbacks:
            raise Diverged(
                f"{trouble}, after {before.rollbacks} returns to a checkpoint with lower rates:\n{self._listed()}\n"
                "Look at these images and their labels, or start again with a smaller --lr0 or a longer "
                f"--warmup-epochs. {self._keeper.kept()}"
            )
        scale = before.lr_scale * options.rollback_lr
        checkpoint = self._last_good(trouble)
        self._return(checkpoint, Recovery(before.skipped, 0, before.rollbacks + 1, scale))
        state.use_precision(precision)
        self._say(
            f"{trouble}: back to {checkpoint.path} ({checkpoint.position}), and on with {scale:g} times the learning "
            f"rates. Return {before.rollbacks + 1} of at most {options.rollbacks}."
        )

    def _last_good(self, trouble: str) -> Checkpoint:
        """The newest checkpoint that is not in the middle of such a streak; rank 0 reads it for all processes.

        Raises:
            LehrError: there is none.
        """
        return self._setup.ranks.broadcast_from_rank0(lambda: self._read(trouble))

    def _read(self, trouble: str) -> Checkpoint:
        self._keeper.wait()
        try:
            checkpoint = newest_checkpoint(self._setup.folder, self._say, lambda position: not position.skipping)
        except DamagedCheckpoint as error:
            raise LehrError(f"{trouble}, and no checkpoint to go back to is whole.\n{error}") from None
        if checkpoint is None:
            raise LehrError(f"{trouble}, and there is no checkpoint to go back to:\n{self._listed()}")
        return checkpoint

    def _return(self, checkpoint: Checkpoint, recovery: Recovery) -> None:
        """Takes up the state of a checkpoint; what was the best since then stays the best, as its weights do.

        Args:
            checkpoint: of this run.
            recovery: what is remembered from here on.
        """
        state = self._setup.state
        best = state.stopping.best, state.stopping.best_epoch, state.best_metrics
        state.load_state_dict(checkpoint.content["state"])
        if best[0] > state.stopping.best:
            state.stopping.best, state.stopping.best_epoch, state.best_metrics = best
        state.recovery = recovery
        state.sums.skipped = recovery.skipped - sum(int(row["skipped"] or 0) for row in state.history)
        self._watch = self._new_watch()
        self._suspects.clear()

    def _described(self, seen: StepStatus) -> str:
        return describe(seen, self._setup.loss.parts, self._setup.plan.batches)

    def _listed(self) -> str:
        """The batches that were not finite, with their images."""
        lines = []
        for seen in self._suspects:
            paths = [str(self._setup.train_samples[index].path) for index in seen.images]
            more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
            lines.append(f"{self._described(seen)}; images {', '.join(paths[:MOST_NAMED])}{more}")
        return "\n".join(lines)

"""The training loop, which composes the techniques.

Each step takes a batch, the loss and its gradients; every few steps the optimizer moves the weights and the average
follows. After each epoch the average is validated and saved. Nothing in a step waits for the device, or for the disk.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from lehr.callbacks.dispatcher import CallbackFailed, Dispatcher
from lehr.callbacks.events import (
    BatchStart,
    BestImproved,
    Event,
    FitEpochEnd,
    StartEvaluated,
    TrainEnd,
    TrainEpochEnd,
    TrainEpochStart,
    TrainStart,
)
from lehr.data.batch import Batch
from lehr.data.requests import BatchRequest, shard_requests
from lehr.data.worker_processes import LoadingStopped, WorkerLost
from lehr.engine.checkpointer import Checkpointer
from lehr.engine.data import EpochRequests
from lehr.engine.divergence import DivergenceMonitor, NotFinite
from lehr.engine.guard import Guard
from lehr.engine.out_of_memory import is_out_of_memory, shortage
from lehr.engine.result import TrainResult, result_of
from lehr.engine.setup import Setup
from lehr.engine.state import EpochSums, TrainState
from lehr.engine.step import TrainStep
from lehr.engine.validation import epoch_row, record_start
from lehr.engine.validator import FaultNotes, Validator
from lehr.errors import Diverged, InputError, LehrError, Stopped
from lehr.evaluation.against_start import describe_older
from lehr.evaluation.evaluator import Evaluation
from lehr.evaluation.matching import MatchRecord
from lehr.runtime.counted import counted
from lehr.runtime.peak_memory import peak_memory_mib
from lehr.runtime.signals import describe_signal
from lehr.runtime.stop_request import StopRequest
from lehr.techniques.freezing import freeze_bn_stats


class Trainer:
    """A run in progress.

    Args:
        setup: everything prepared.
        callbacks: receives the events of the run.
        stop: asks the run to stop.
        say: reports what the user should know.
    """

    def __init__(self, setup: Setup, callbacks: Dispatcher, stop: StopRequest, say: Callable[[str], None]) -> None:
        self.setup = setup
        self.config = setup.config
        self.state: TrainState = setup.state
        self.callbacks, self.stop, self._say = callbacks, stop, say
        self.ranks = setup.ranks
        self.run_info = callbacks.run = setup.run_info
        self.checkpointer = Checkpointer(
            setup.folder,
            setup.state,
            identity=setup.identity,
            epochs=setup.config.epochs,
            minutes=setup.config.run.checkpoint_minutes,
            device=setup.device,
            is_main=setup.ranks.is_main,
            callbacks=callbacks,
            say=say,
        )
        self.monitor = DivergenceMonitor(
            setup.state,
            options=setup.config.schedule,
            plan=setup.plan,
            parts=setup.loss.parts,
            paths=lambda index: setup.train_samples[index].path,
            device=setup.device,
            ranks=setup.ranks,
            checkpointer=self.checkpointer,
            folder=setup.folder,
            callbacks=callbacks,
            say=say,
        )
        self.step = TrainStep(
            *(setup.state, setup.plan, setup.forward_loss, setup.statistics),
            step_sync=setup.step_sync,
            clip_norm=setup.config.schedule.clip_norm,
            profile=setup.profile,
            captured=setup.captured,
            say=say,
        )
        self._diverged = ""
        """Error after which the run cannot continue, but ends with its best epoch."""
        self.faults = FaultNotes(setup.ranks, say)
        # It does not reference the trainer: a cycle would hold the run's memory until garbage collection.
        self.validator = Validator(setup, callbacks, stop, self.faults)
        self._requests = EpochRequests(setup.config, setup.train_samples, len(setup.own_samples), setup.partner_window)
        self._batch: Batch | None = None
        self._whole = True
        """True between two steps, where the state can be saved."""

    def run(self) -> TrainResult:
        """Train all remaining epochs.

        Raises:
            Stopped: a signal asked for the end; the state is saved.
            LehrError: the training failed; the message says how to resume.
        """
        no_memory = False
        try:
            self._loop()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            no_memory = True
        except LoadingStopped as stopped:
            self._stop_by(stopped.exit_code - 128)
        except (InputError, WorkerLost, CallbackFailed) as error:  # missing data, a lost process, or a failed callback
            raise self._unable(str(error)) from None
        finally:
            self.checkpointer.close(at_once=sys.exc_info()[0] is KeyboardInterrupt)
        if no_memory:  # reported here, where the failed step no longer holds memory
            raise self._short_of_memory()
        return self._end()

    def _loop(self) -> None:
        state = self.state
        state.finished = state.epoch >= self.config.epochs
        self._emit(TrainStart, epoch=state.epoch, step=state.step, resumed=state.step > 0)
        self.checkpointer.save()  # a checkpoint to return to from the first step on
        self.setup.profile.begin()
        while not state.finished:
            try:
                if state.start_is_due:
                    self._evaluate_start()
                self._epoch()
            except NotFinite:
                self._go_back()
        self.ranks.done()
        self.checkpointer.finish()

    def _go_back(self) -> None:
        """Roll back to the last good checkpoint; after too many rollbacks, a run with a guard ends with its best.

        Raises:
            LehrError: there is no checkpoint, and no best.
        """
        try:
            self.monitor.go_back()
        except Diverged as error:
            if self.state.guard is None or self.state.guard.start is None:
                raise
            self._diverged, self.state.finished = str(error), True
            self._say(f"{error}\nThe run ends here and keeps its best weights so far.")
            evaluation, on_older = self.validator.validate(self._stop_by)
            for guard, record in self._guards(evaluation, on_older):
                guard.conclude(record, self.ranks, self.config.run.seed, self._say)
            self.checkpointer.save(evaluation)

    def _evaluate_start(self) -> None:
        """Evaluate the weights that the run starts from; they are the best until an epoch is better."""
        state = self.state
        if state.guard is None:
            self._evaluate_start_on_older()
            return
        evaluation, on_older = self.validator.validate(self._stop_by)
        older = None if on_older is None else on_older.metrics
        if state.older_guard is not None and on_older is not None:
            state.older_guard.start = on_older.record
        self.setup.profile.mark("validation")
        better = record_start(self.setup, evaluation, older, self.checkpointer.seconds)
        row = MappingProxyType(self.state.history[-1])
        self._emit(StartEvaluated, row=row, metrics=evaluation.metrics, older=older)
        self.checkpointer.save(evaluation, better)
        self.setup.profile.mark("checkpoint")

    def _evaluate_start_on_older(self) -> None:
        """Evaluate the weights that the run starts from on the older data alone, since they know its classes."""
        evaluation = self.validator.on_older(self._stop_by)
        if evaluation is not None and self.state.older_guard is not None:
            self.state.older_guard.start = evaluation.record
            self._say(describe_older("The start", str(self.config.data.keep_val), evaluation.metrics))
        self.setup.profile.mark("validation")

    def _guards(self, evaluation: Evaluation, on_older: Evaluation | None) -> list[tuple[Guard, MatchRecord | None]]:
        """Guards of this run, each with the evaluation of the current weights."""
        pairs = ((self.state.guard, evaluation), (self.state.older_guard, on_older))
        return [(guard, each.record) for guard, each in pairs if guard is not None and each is not None]

    def _end(self) -> TrainResult:
        state = self.state
        assert state.best_metrics is not None
        compared = None if state.guard is None else state.guard.outcome
        on_older = None if state.older_guard is None else state.older_guard.outcome
        best_epoch = state.stopping.best_epoch
        result = result_of(self.setup.folder, state.best_metrics, compared, on_older, best_epoch=best_epoch)
        self._emit(
            TrainEnd,
            epochs=state.epoch,
            step=state.step,
            best_epoch=state.stopping.best_epoch,
            metrics=state.best_metrics,
            best=result.best,
            last=result.last,
            seconds=state.seconds,
            stopped_early=state.epoch < self.config.epochs and not self._diverged,
            against_start=compared,
            older_against_start=on_older,
            diverged=self._diverged,
        )
        if self.config.speed.profile:
            for line in self.setup.profile.report(self.config, state.precision):
                self._say(line)
        return result

    def _short_of_memory(self) -> LehrError:
        """Build the error for a step that did not fit in memory, with the batch size that fits."""
        state = self.state
        state.optimizer.zero_grad()
        later = f"If another process took the memory temporarily: {self.checkpointer.kept()}" if state.step else ""
        if self.ranks.is_distributed:  # measuring what fits would need all of them
            share = self.config.batch // self.ranks.count
            return LehrError(
                f"{self.setup.group.name}, {self.setup.device}: not enough memory for {counted(share, 'image')} of "
                f"{self.config.imgsz} pixels, its share of --batch {self.config.batch}. Use a smaller --batch, --imgsz "
                f"or model; `lehr train --batch auto` on one device measures what it can take.\n{later}"
            )
        return LehrError(shortage(self.config, self.setup.device, self._batch, self._attempt, later))

    def _epoch(self) -> None:
        """Train the rest of an epoch, validate, and record it."""
        state, epoch = self.state, self.state.epoch
        class_maps = state.class_maps or (0.0,) * len(self.setup.dataset.names)
        self.train_epoch(epoch, *self._requests(epoch, class_maps))
        self.setup.profile.mark("EMA")
        evaluation, on_older = self.validator.validate(self._stop_by)
        older = None if on_older is None else on_older.metrics
        self.setup.profile.mark("validation")
        metrics, sums = evaluation.metrics, state.sums
        self._whole = False
        state.class_maps = tuple(each.map_max_det or 0.0 for each in metrics.classes.values())
        # During a streak of skipped steps the run may still roll back to before this epoch, unless it ends here.
        last = epoch + 1 == self.config.epochs or state.stopping.should_stop(epoch)
        settled = state.recovery.streak == 0 or (last and state.best_metrics is None)
        better = settled and state.stopping.update(epoch, metrics.measured_fitness)
        if better:
            state.best_metrics = metrics
            for guard, record in self._guards(evaluation, on_older):
                guard.best = record
        state.history.append(epoch_row(self.setup, evaluation, older, self.checkpointer.seconds))
        state.epoch = epoch + 1
        state.sums = EpochSums.of_parts(self.setup.loss.parts, self.setup.device)
        state.finished = state.stopping.should_stop(epoch) or state.epoch == self.config.epochs
        for guard, record in self._guards(evaluation, on_older) if state.finished else ():
            guard.conclude(record, self.ranks, self.config.run.seed, self._say)
        self._whole = True
        seconds = self.checkpointer.seconds
        if better:
            self._emit(BestImproved, epoch=epoch, step=state.step, metrics=metrics)
        rates, scale = self.setup.plan.at(state.step - 1), state.recovery.lr_scale
        self._emit(
            FitEpochEnd,
            epoch=epoch,
            step=state.step,
            row=MappingProxyType(state.history[-1]),
            losses=self._named_losses(sums),
            instances=sums.instances,
            metrics=metrics,
            older=older,
            rates=rates.by_group(scale),
            images_per_second=sums.images_per_second,
            seconds=seconds,
            remaining=seconds / state.epoch * (self.config.epochs - state.epoch),
            memory=peak_memory_mib(),
            best=better,
        )
        self.checkpointer.save(evaluation, better)
        self.setup.profile.mark("checkpoint")

    def train_epoch(self, epoch: int, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> None:
        """Train on the remaining batches of an epoch.

        Args:
            epoch: from 0.
            requests: all batches of the epoch; those already done are skipped.
            then: batches that probably come next; loading processes prepare them before they idle.
        """
        state, sums, batches = self.state, self.state.sums, len(requests)
        state.model.train()
        freeze_bn_stats(state.model)
        done = state.step - epoch * batches
        self._emit(TrainEpochStart, epoch=epoch, step=state.step, batches=batches - done)
        self.setup.val_loader.expect(self.ranks.stripe(self.setup.val_requests))  # kept until the epoch ends
        before, started = sums.seconds, time.perf_counter()
        for batch in self.setup.feed.batches(*(shard_requests(each, self.ranks) for each in (requests[done:], then))):
            self._batch, self._whole = batch, False
            self.ranks.at(f"step {state.step - epoch * batches + 1} of epoch {epoch + 1}")
            size = None
            if self.setup.sizes is not None:
                size = self.setup.sizes.draw(self.config.run.seed, epoch, state.step - epoch * batches)
            if self.callbacks.wants(BatchStart.method):
                now = {"epoch": epoch, "step": state.step, "precision": str(state.precision)}
                self._emit(BatchStart, batch=batch, size=size, **now)
            outcome = self.step(batch, size, save=self.checkpointer.due, stop=self.stop.signal_number)
            self.monitor.post(batch, outcome)
            self.setup.profile.step_done()
            state.step += 1
            self._whole = True
            sums.seconds = before + time.perf_counter() - started
            self.faults.note(batch.faults)
            self.monitor.look()
            self.checkpointer.poll()
            self._stop_if_asked()
            self._save_if_due()
        self.monitor.look(wait=True)
        sums.seconds = before + time.perf_counter() - started  # wait until the device has caught up with the host
        self._batch = None
        self._emit(
            TrainEpochEnd,
            epoch=epoch,
            step=state.step,
            losses=self._named_losses(sums),
            images=sums.images,
            instances=sums.instances,
            skipped=sums.skipped,
            replaced=sums.replaced,
            seconds=sums.seconds,
            images_per_second=sums.images_per_second,
        )

    def _save_if_due(self) -> None:
        """Save within an epoch when due, unless the run may still roll back."""
        if self.monitor.save if self.ranks.is_distributed else self.checkpointer.due:
            self.monitor.look(wait=True)  # the counters are part of the state
            self.monitor.save = False
            if self.state.recovery.streak == 0:
                self.checkpointer.save()
            self.setup.profile.mark("checkpoint")

    def _stop_if_asked(self) -> None:
        if (number := self.monitor.stop if self.ranks.is_distributed else self.stop.signal_number) is not None:
            self._stop_by(number)

    def _stop_by(self, number: int) -> NoReturn:
        """End the run, its state saved; of several processes, all at the same step.

        Args:
            number: the signal that asked for it.
        """
        self.monitor.look(wait=True)
        self.ranks.done()
        self.checkpointer.save(weights=True)
        self.checkpointer.finish()
        place = f"epoch {min(self.state.epoch + 1, self.config.epochs)}, {counted(self.state.step, 'batch')} done"
        raise Stopped(f"Stopped by {describe_signal(number)} in {place}. {self.checkpointer.kept()}", number)

    def _unable(self, what: str) -> LehrError:
        """Build the error of a run that cannot continue for now; its state is saved unless a step was interrupted."""
        if self._whole:
            with contextlib.suppress(NotFinite):
                self.monitor.look(wait=True)
            self.checkpointer.save(weights=True)
            try:
                self.checkpointer.finish()
            except LehrError as error:
                return LehrError(f"{what}\n{error}")
        return LehrError(f"{what}\n{self.checkpointer.kept()}")

    def _attempt(self, batch: Batch) -> None:
        """Run a step as large as any of this run; its result is discarded."""
        self.step.gradients(batch, None if self.setup.sizes is None else self.setup.sizes.max_size)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()

    def _named_losses(self, sums: EpochSums) -> dict[str, float]:
        """Return the mean of each part of the loss per image; waits for the device."""
        return dict(zip(self.setup.loss.parts, sums.mean_losses(), strict=True))

    def _emit(self, kind: Callable[..., Event], **values: Any) -> None:
        """Dispatch an event of this run to the callbacks."""
        self.callbacks.emit(kind(run=self.run_info, **values))

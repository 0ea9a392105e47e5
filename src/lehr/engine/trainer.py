"""Training: the techniques, composed.

Each step takes a batch, the loss and its gradients; every few steps the optimizer moves the weights and the average
follows. After each epoch the average is validated and saved. Nothing in a step waits for the device, or for the disk.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from lehr.callbacks.console import EpochSummary, RunConsole, class_table
from lehr.checkpoint.results_csv import Row
from lehr.checkpoint.writer import BEST_WEIGHTS, LAST_WEIGHTS
from lehr.data.batch import Batch
from lehr.data.loader import BatchRequest, shard_requests, train_requests
from lehr.engine.checkpointer import Checkpointer
from lehr.engine.divergence import DivergenceMonitor, NotFinite
from lehr.engine.out_of_memory import is_out_of_memory, shortage
from lehr.engine.setup import Setup
from lehr.engine.state import EpochSums, TrainState
from lehr.errors import InputError, LehrError, Stopped
from lehr.evaluation.evaluator import Evaluation, EvaluationStopped, evaluate
from lehr.evaluation.metrics import Metrics
from lehr.runtime.console import duration
from lehr.runtime.signals import describe_signal
from lehr.runtime.stop_request import StopRequest
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.freezing import freeze_bn_stats
from lehr.techniques.image_weights import draw_images, image_weights
from lehr.techniques.non_finite import step_if_finite
from lehr.techniques.optimizer import set_rates


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run ends with.

    Attributes:
        folder: the run's folder.
        metrics: the numbers of the best epoch on the validation split.
        best: the weights of the best epoch.
        last: the weights of the last epoch.
    """

    folder: Path
    metrics: Metrics
    best: Path
    last: Path


def result_of(folder: Path, metrics: Metrics) -> TrainResult:
    """What a finished run left in its folder."""
    return TrainResult(folder, metrics, folder / BEST_WEIGHTS, folder / LAST_WEIGHTS)


class Trainer:
    """A run in progress.

    Args:
        setup: everything prepared.
        reporter: is told the course of the run.
        stop: asks the run to stop.
    """

    def __init__(self, setup: Setup, reporter: RunConsole, stop: StopRequest) -> None:
        self.setup = setup
        self.config = setup.config
        self.state: TrainState = setup.state
        self.reporter = reporter
        self.stop = stop
        self.checkpointer = Checkpointer(setup, reporter.say)
        self.monitor = DivergenceMonitor(setup, self.checkpointer, reporter.say)
        self.ranks = setup.ranks
        self._named: set[str] = set()
        self._batch: Batch | None = None
        self._whole = True
        """Whether the state is one between two steps, which can be saved."""

    def run(self) -> TrainResult:
        """All epochs that are left.

        Raises:
            Stopped: a signal asked for the end; the state is saved.
            LehrError: the training failed; how to go on is said.
        """
        state = self.state
        self.reporter.header(self.setup.loss.parts)
        no_memory = False
        try:
            state.finished = state.epoch >= self.config.epochs
            self.checkpointer.save()  # something to go back to from the first step on
            self.setup.profile.begin()
            while not state.finished:
                try:
                    self._epoch()
                except NotFinite:
                    self.monitor.go_back()
            self.ranks.done()
            self.checkpointer.finish()
        except (RuntimeError, MemoryError) as error:
            if "DataLoader worker" in str(error) and ("killed" in str(error) or "unexpectedly" in str(error)):
                raise self._unable(
                    f"{error}\nA process that loads images was killed, perhaps for want of memory. Use fewer --workers."
                ) from None
            if not is_out_of_memory(error):
                raise
            no_memory = True
        except InputError as error:  # data that are gone
            raise self._unable(str(error)) from None
        finally:
            self.checkpointer.close(at_once=sys.exc_info()[0] is KeyboardInterrupt)
        if no_memory:  # told here, where the failed step holds no memory any more
            state.optimizer.zero_grad()
            later = f"If something else took it for a while: {self.checkpointer.kept()}" if state.step else ""
            if self.ranks.is_distributed:  # trying out what fits would need all of them
                share = self.config.batch // self.ranks.count
                raise LehrError(
                    f"{self.setup.group.name}, {self.setup.device}: too little memory for {share} images of "
                    f"{self.config.imgsz} pixels, its share of --batch {self.config.batch}. Use a smaller --batch, "
                    f"--imgsz or model; `lehr train --batch auto` on one device tells what it can take.\n{later}"
                )
            raise LehrError(shortage(self.config, self.setup.device, self._batch, self._attempt, later))
        assert state.best_metrics is not None
        self.reporter.say(
            f"\nTrained in {duration(state.seconds)}. Best epoch {state.stopping.best_epoch + 1}, on the validation "
            f"split:\n{class_table(state.best_metrics)}"
        )
        if self.config.speed.profile:
            self._tell_profile()
        return result_of(self.setup.folder, state.best_metrics)

    def _tell_profile(self) -> None:
        profile, precision = self.setup.profile, self.state.precision
        self.reporter.say(f"\nWhere the time went, over {profile.steps} steps:\n{profile.table()}")
        for line in profile.advice(self.config, precision):
            self.reporter.say(line)

    def _epoch(self) -> None:
        """What is left of an epoch, its validation, and its record."""
        state, epoch = self.state, self.state.epoch
        self._train_epoch(epoch)
        self.setup.profile.mark("EMA")
        evaluation = self._validate()
        self.setup.profile.mark("validation")
        metrics, sums = evaluation.metrics, state.sums
        self._whole = False
        state.class_maps = tuple(each.map or 0.0 for each in metrics.classes.values())
        # In the middle of a streak of steps left out, the run may yet go back to before this epoch.
        better = state.recovery.streak == 0 and state.stopping.update(epoch, metrics.fitness)
        if better:
            state.best_metrics = metrics
        state.history.append(self._row(evaluation))
        state.epoch = epoch + 1
        state.sums = EpochSums.of_parts(self.setup.loss.parts, self.setup.device)
        early = state.stopping.should_stop(epoch)
        state.finished = early or state.epoch == self.config.epochs
        self._whole = True
        self.checkpointer.save(evaluation, better)
        self.setup.profile.mark("checkpoint")
        remaining = state.seconds / state.epoch * (self.config.epochs - state.epoch)
        self.reporter.epoch_done(
            EpochSummary(
                epoch,
                sums.mean_losses(),
                sums.instances,
                sums.images_per_second,
                metrics,
                remaining,
                better,
            )
        )
        for count, what in ((sums.skipped, "optimizer steps left out"), (sums.replaced, "pictures replaced")):
            if count:
                self.reporter.say(f"In epoch {epoch + 1}: {count} {what}.")
        if early:
            self.reporter.say(
                f"No better result for {self.config.schedule.patience} epochs: stopped early (--patience)."
            )

    def _train_epoch(self, epoch: int) -> None:
        state, sums = self.state, self.state.sums
        state.model.train()
        freeze_bn_stats(state.model)
        requests = self._requests(epoch)
        before, started = sums.seconds, time.perf_counter()
        with self.reporter.bar(f"epoch {epoch + 1}/{self.config.epochs}", len(requests)) as bar:
            for batch in self.setup.feed.batches(
                shard_requests(requests[state.step - epoch * len(requests) :], self.ranks)
            ):
                self._batch, self._whole = batch, False
                self.ranks.at(f"step {state.step - epoch * len(requests) + 1} of epoch {epoch + 1}")
                self._step(batch, epoch, len(requests))
                self.setup.profile.step_done()
                state.step += 1
                self._whole = True
                sums.seconds = before + time.perf_counter() - started
                self._note_faults(batch.faults)
                self.monitor.look()
                self._stop_if_asked()
                if self.monitor.save if self.ranks.is_distributed else self.checkpointer.due:
                    self.monitor.look(wait=True)  # the counts are part of the state
                    self.monitor.save = False
                    if state.recovery.streak == 0:
                        self.checkpointer.save()
                    self.setup.profile.mark("checkpoint")
                done = state.step - epoch * len(requests)
                bar.advance(done, self._live(sums, len(requests) - done) if bar.due else None)
        self.monitor.look(wait=True)
        self._batch = None

    def _step(self, batch: Batch, epoch: int, batches: int) -> None:
        """Loss and gradients of a batch, and the optimizer step where one is due; does not wait for the device."""
        state, setup = self.state, self.setup
        sums, told, size = state.sums, None, None
        if setup.sizes is not None:
            size = setup.sizes.draw(self.config.run.seed, epoch, state.step - epoch * batches)
        setup.statistics.remember()
        loss = self._gradients(batch, size)
        if setup.step_sync is None:
            sums.instances += batch.instances
            sums.replaced += len(batch.faults)
        else:
            loss, told = setup.step_sync(
                loss,
                instances=0 if batch.idle else batch.instances,
                replaced=0 if batch.idle else len(batch.faults),
                share=batch.share,
                save=self.checkpointer.due,
                stop=self.stop.signal_number,
            )
        finite = loss.isfinite().all()
        setup.statistics.keep_if(finite)
        sums.add(loss, finite, batch.total)
        state.finite.logical_and_(finite)
        scale = None if state.scaler is None else state.scaler.scale(torch.ones((), device=loss.device))
        norm, finite = self._update(finite)
        self.monitor.post(batch, loss, norm, finite, scale, told)

    def _gradients(self, batch: Batch, size: int | None) -> Tensor:
        """The parts of a batch's loss, detached; its gradients are added to those that are there.

        Args:
            batch: on the device.
            size: longest side that the images are resized to, pixels; None leaves them as they are.
        """
        scaler = self.state.scaler
        loss = self.setup.forward_loss.parts(batch, size, self.state.precision)
        torch.autograd.backward(loss.sum() if scaler is None else scaler.scale(loss.sum()))
        self.setup.profile.mark("backward")
        return loss.detach()

    def _update(self, finite: Tensor) -> tuple[Tensor | None, Tensor]:
        """Moves the weights when enough batches have added up; the rates are those of this step.

        Args:
            finite: (), whether this batch's loss is.

        Returns:
            The norm of the gradient, or None where no step was due; and whether the step, else the batch, was finite.
        """
        state, scale = self.state, self.state.recovery.lr_scale
        rates = self.setup.plan.at(state.step)
        weights, norms, biases = rates.lr
        set_rates(state.optimizer, (weights * scale, norms * scale, biases * scale), rates.momentum)
        if state.step - state.last_update < rates.accumulate:
            return None, finite
        if state.scaler is not None:
            state.scaler.unscale_(state.optimizer)
        norm = clip_gradients(state.model.parameters(), self.config.schedule.clip_norm)
        finite = state.finite & norm.isfinite()
        made = step_if_finite(state.optimizer, finite)
        self.setup.profile.mark("optimizer")
        if made and state.ema is not None:
            state.ema.update()
        self.setup.profile.mark("EMA")
        if state.scaler is not None:
            state.scaler.update()
        state.optimizer.zero_grad()
        state.finite.fill_(True)
        state.last_update = state.step
        return norm, finite

    def _requests(self, epoch: int) -> list[BatchRequest]:
        """The batches of an epoch."""
        samples, data, seed = self.setup.train_samples, self.config.data, self.config.run.seed
        drawn = None
        if data.image_weights:
            precision = self.state.class_maps or (0.0,) * len(self.setup.dataset.names)
            drawn = draw_images(image_weights(samples, precision), seed, epoch)
        return train_requests(samples, self.config.batch, seed, epoch, drawn=drawn, rect=data.rect)

    def _live(self, sums: EpochSums, batches_left: int) -> str:
        losses = zip(self.setup.loss.parts, sums.mean_losses(), strict=True)
        left = batches_left * self.config.batch / sums.images_per_second
        return (
            "  ".join(f"{part} {value:.3f}" for part, value in losses)
            + f"  {sums.instances} instances  {sums.images_per_second:.1f} images/s  {duration(left)} left"
        )

    def _validate(self) -> Evaluation:
        setup = self.setup
        model = self.state.evaluated_model.eval()
        with self.reporter.bar("validation", len(setup.val_samples)) as bar:

            def on_batch(done: int) -> None:
                bar.advance(min(done * self.ranks.count, len(setup.val_samples)))
                self.ranks.at(f"the validation of epoch {self.state.epoch + 1}")
                if not self.ranks.is_distributed:
                    self._stop_if_asked()

            self.ranks.at(f"the validation of epoch {self.state.epoch + 1}")
            try:
                evaluation = evaluate(
                    model,
                    setup.val_samples,
                    setup.val_loader,
                    setup.val_requests,
                    loss=setup.loss,
                    precision=self.state.precision,
                    timed=False,
                    on_batch=on_batch,
                    ranks=self.ranks,
                    stop=lambda: self.ranks.is_distributed and self.stop.signal_number is not None,
                )
            except EvaluationStopped:
                self._stop_by(next(filter(None, self.ranks.all_gather(self.stop.signal_number))))
        self._share_faults()
        self._note_faults(evaluation.faults)
        return evaluation

    def _row(self, evaluation: Evaluation) -> Row:
        """The row of results.csv of the epoch that ends."""
        state, m, parts = self.state, evaluation.metrics, self.setup.loss.parts
        rates, scale = self.setup.plan.at(state.step - 1), state.recovery.lr_scale
        return {
            "epoch": state.epoch + 1,
            "step": state.step,
            "seconds": round(self.checkpointer.seconds, 3),
            "images_per_second": round(state.sums.images_per_second, 2),
            **{f"train/{part}": value for part, value in zip(parts, state.sums.mean_losses(), strict=True)},
            **{f"val/{part}": value for part, value in zip(parts, evaluation.loss or (), strict=True)},
            "val/precision": m.precision,
            "val/recall": m.recall,
            "val/f1": m.f1,
            "val/map50": m.map50,
            "val/map75": m.map75,
            "val/map": m.map,
            "lr/weights": rates.lr_weights * scale,
            "lr/norms": rates.lr_norms * scale,
            "lr/biases": rates.lr_biases * scale,
            "skipped": state.sums.skipped,
            "replaced": state.sums.replaced,
        }

    def _note_faults(self, faults: tuple[str, ...]) -> None:
        """Names each file that has gone, once."""
        for fault in faults:
            if fault not in self._named:
                self._named.add(fault)
                self.reporter.say(f"Gone while training, so others take its place: {fault}")

    def _share_faults(self) -> None:
        """Has rank 0 name the files that only other processes found gone."""
        for faults in self.ranks.all_gather(tuple(sorted(self._named))):
            self._note_faults(faults)

    def _stop_if_asked(self) -> None:
        number = self.monitor.stop if self.ranks.is_distributed else self.stop.signal_number
        if number is not None:
            self._stop_by(number)

    def _stop_by(self, number: int) -> NoReturn:
        """Ends the run, its state saved; of several processes, all at the same step.

        Args:
            number: the signal that asked for it.
        """
        self.monitor.look(wait=True)
        self.ranks.done()
        self.checkpointer.save(weights=True)
        self.checkpointer.finish()
        place = f"epoch {min(self.state.epoch + 1, self.config.epochs)}, {self.state.step} batches done"
        raise Stopped(f"Stopped by {describe_signal(number)} in {place}. {self.checkpointer.kept()}", number)

    def _unable(self, what: str) -> LehrError:
        """The error of a run that cannot go on for now; its state is saved unless a step was cut short."""
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
        """A step as large as any of this run; nothing of it is kept."""
        self._gradients(batch, None if self.setup.sizes is None else self.setup.sizes.most)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad()

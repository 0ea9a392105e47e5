"""Training: the techniques, composed.

Each step takes a batch, the loss and its gradients; every few steps the optimizer moves the weights and the average
follows. After each epoch the average is validated and saved. Nothing in a step waits for the device.
"""

from __future__ import annotations

import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from lehr.config import TrainConfig
from lehr.data.loader import Key, train_keys
from lehr.engine.interrupt import StopRequest
from lehr.engine.progress import EpochSummary, Reporter, class_table, duration
from lehr.engine.results import append_result
from lehr.engine.setup import Setup, prepare
from lehr.engine.state import TrainState
from lehr.errors import LehrError, Stopped
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.evaluation.metrics import Metrics
from lehr.models.weights import save_weights
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.freezing import hold_statistics
from lehr.techniques.image_weights import draw_images, image_weights
from lehr.techniques.multi_scale import resized
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


@dataclass(slots=True)
class _Epoch:
    """Running sums of an epoch: losses on the device, counts here."""

    losses: torch.Tensor
    images: int = 0
    instances: int = 0
    seconds: float = 0.0

    def mean_losses(self) -> list[float]:
        """Mean of each loss an image; waits for the device."""
        means: list[float] = (self.losses / max(self.images, 1)).tolist()
        return means

    @property
    def images_per_second(self) -> float:
        return self.images / max(self.seconds, 1e-9)


def train(config: TrainConfig) -> TrainResult:
    """Trains a detector.

    Raises:
        InputError: options or data that cannot be trained on; nothing is left behind then.
        Stopped: a signal asked for the end; the weights are saved.
        LehrError: the training itself failed.
    """
    setup = prepare(config)
    with Reporter(setup.folder / "train.log", config.epochs, config.imgsz) as reporter, StopRequest() as stop:
        for line in setup.notes:
            reporter.say(line)
        try:
            return Trainer(setup, reporter, stop).run()
        except torch.OutOfMemoryError:
            raise LehrError(
                f"{setup.device}: too little memory for batches of {config.data.batch} at {config.imgsz} pixels. "
                "Use a smaller --batch (gradients accumulate to --nominal-batch, so little changes), --imgsz or model."
            ) from None


class Trainer:
    """A run in progress.

    Args:
        setup: everything prepared.
        reporter: is told the course of the run.
        stop: asks the run to stop.
    """

    def __init__(self, setup: Setup, reporter: Reporter, stop: StopRequest) -> None:
        self.setup = setup
        self.config = setup.config
        self.state: TrainState = setup.state
        self.reporter = reporter
        self.stop = stop
        self.best_metrics: Metrics | None = None

    @property
    def best_path(self) -> Path:
        """Weights of the best epoch."""
        return self.setup.folder / "best.safetensors"

    @property
    def last_path(self) -> Path:
        """Weights of the last epoch."""
        return self.setup.folder / "last.safetensors"

    def run(self) -> TrainResult:
        """All epochs."""
        started = time.perf_counter()
        first = self.state.epoch
        self.reporter.header(self.setup.loss.parts)
        for epoch in range(first, self.config.epochs):
            self.state.epoch = epoch
            sums = self._train_epoch(epoch)
            evaluation = self._validate()
            self.state.class_maps = tuple(each.map or 0.0 for each in evaluation.metrics.classes.values())
            better = self.state.stopping.update(epoch, evaluation.metrics.fitness)
            self._save(evaluation, better)
            elapsed = time.perf_counter() - started
            remaining = elapsed / (epoch + 1 - first) * (self.config.epochs - epoch - 1)
            self._record(sums, evaluation, elapsed)
            self.reporter.epoch_done(
                EpochSummary(
                    epoch,
                    sums.mean_losses(),
                    sums.instances,
                    sums.images_per_second,
                    evaluation.metrics,
                    remaining,
                    better,
                )
            )
            if self.state.stopping.should_stop(epoch):
                self.reporter.say(
                    f"No better result for {self.config.schedule.patience} epochs: stopped early (--patience)."
                )
                break
        assert self.best_metrics is not None
        self.reporter.say(
            f"\nTrained in {duration(time.perf_counter() - started)}. Best epoch "
            f"{self.state.stopping.best_epoch + 1}, on the validation split:\n{class_table(self.best_metrics)}"
        )
        return TrainResult(self.setup.folder, self.best_metrics, self.best_path, self.last_path)

    def _train_epoch(self, epoch: int) -> _Epoch:
        state, config = self.state, self.config
        state.model.train()
        hold_statistics(state.model)
        sums = _Epoch(torch.zeros(len(self.setup.loss.parts), device=self.setup.device))
        keys = self._keys(epoch)
        started = time.perf_counter()
        with self.reporter.bar(f"epoch {epoch + 1}/{config.epochs}", len(keys)) as bar:
            for batch in self.setup.train_loader.batches(keys):
                if self.stop.signal_number is not None:
                    self._stop(self.stop.signal_number)
                sums.instances += int((batch.classes >= 0).sum())
                moved = batch.to(self.setup.device)
                images, boxes = moved.images.to(torch.float32).div_(255), moved.boxes
                if self.setup.sizes is not None:
                    size = self.setup.sizes.draw(config.run.seed, epoch, state.step % len(keys))
                    images, boxes = resized(images, boxes, size)
                loss = self.setup.loss(state.model(images), boxes, moved.classes)
                torch.autograd.backward(loss.sum())
                sums.losses += loss.detach()
                sums.images += len(images)
                self._update()
                state.step += 1
                sums.seconds = time.perf_counter() - started
                done = state.step % len(keys) or len(keys)
                bar.advance(done, self._live(sums, len(keys) - done) if bar.due else None)
        losses = sums.mean_losses()
        sums.seconds = time.perf_counter() - started
        if not all(map(math.isfinite, losses)):
            raise LehrError(
                f"The loss is no longer a number (epoch {epoch + 1}). {self._saved()} Try a smaller --lr0 or a longer "
                "--warmup-epochs."
            )
        return sums

    def _keys(self, epoch: int) -> list[Key]:
        """The batches of an epoch."""
        samples, data, seed = self.setup.train_samples, self.config.data, self.config.run.seed
        drawn = None
        if data.image_weights:
            precision = self.state.class_maps or (0.0,) * len(self.setup.dataset.names)
            drawn = draw_images(image_weights(samples, precision), seed, epoch)
        return train_keys(samples, data.batch, seed, epoch, drawn=drawn, rect=data.rect)

    def _live(self, sums: _Epoch, batches_left: int) -> str:
        losses = zip(self.setup.loss.parts, sums.mean_losses(), strict=True)
        left = batches_left * self.config.data.batch / sums.images_per_second
        return (
            "  ".join(f"{part} {value:.3f}" for part, value in losses)
            + f"  {sums.instances} instances  {sums.images_per_second:.1f} images/s  {duration(left)} left"
        )

    def _update(self) -> None:
        """Moves the weights when enough batches have added up; the rates are those of this step."""
        state = self.state
        rates = self.setup.plan.at(state.step)
        set_rates(state.optimizer, rates.lr, rates.momentum)
        if state.step - state.last_update < rates.accumulate:
            return
        clip_gradients(state.model.parameters(), self.config.schedule.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.last_update = state.step
        if state.ema is not None:
            state.ema.update()

    def _validate(self) -> Evaluation:
        state = self.state
        model = state.evaluated_model.eval()
        setup = self.setup
        with self.reporter.bar("validation", len(setup.val_samples)) as bar:
            return evaluate(
                model, setup.val_samples, setup.val_loader, setup.val_keys, loss=setup.loss, on_batch=bar.advance
            )

    def _save(self, evaluation: Evaluation, better: bool) -> None:
        details = {"epoch": self.state.epoch + 1, "metrics": evaluation.as_dict()}
        save_weights(self.state.evaluated_model, self.last_path, details)
        if better:
            save_weights(self.state.evaluated_model, self.best_path, details)
            self.best_metrics = evaluation.metrics

    def _record(self, sums: _Epoch, evaluation: Evaluation, elapsed: float) -> None:
        m, parts = evaluation.metrics, self.setup.loss.parts
        rates = self.setup.plan.at(self.state.step - 1)
        append_result(
            self.setup.folder / "results.csv",
            {
                "epoch": self.state.epoch + 1,
                "step": self.state.step,
                "seconds": round(elapsed, 3),
                "images_per_second": round(sums.images_per_second, 2),
                **{f"train/{part}": value for part, value in zip(parts, sums.mean_losses(), strict=True)},
                **{f"val/{part}": value for part, value in zip(parts, evaluation.loss or (), strict=True)},
                "val/precision": m.precision,
                "val/recall": m.recall,
                "val/f1": m.f1,
                "val/map50": m.map50,
                "val/map75": m.map75,
                "val/map": m.map,
                "lr/weights": rates.lr_weights,
                "lr/norms": rates.lr_norms,
                "lr/biases": rates.lr_biases,
            },
        )

    def _stop(self, number: int) -> None:
        save_weights(self.state.evaluated_model, self.last_path, {"epoch": self.state.epoch})
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        raise Stopped(f"Stopped by {name} in epoch {self.state.epoch + 1}. {self._saved()}", number)

    def _saved(self) -> str:
        kept = [str(path) for path in (self.last_path, self.best_path) if path.is_file()]
        return f"Weights are in {' and '.join(kept)}." if kept else "No epoch had ended, so no weights are kept."

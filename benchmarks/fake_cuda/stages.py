"""Stages of a training step and of a validation, run by Lehr's own code on a fake CUDA device."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from benchmarks.fake_cuda.counting import Counting, Stage
from benchmarks.fake_cuda.device import CUDA, fake_cuda, to_fake_cuda, waits_allowed
from torch import Tensor, nn

from lehr.augment.gpu_plan import PackedCanvases
from lehr.checkpoint.snapshot import snapshot
from lehr.data.batch import Batch
from lehr.engine.profile import Profile
from lehr.engine.state import EpochSums, TrainState
from lehr.engine.step import ForwardLoss, TrainStep
from lehr.evaluation import evaluator, nms
from lehr.losses.build import build_loss
from lehr.models.build import build_without_memory
from lehr.models.detection import STRIDES, DetectionModel
from lehr.options import LossOptions, ScheduleOptions
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.non_finite import Statistics, StepStatusQueue, step_if_finite
from lehr.techniques.optimizer import build_optimizer
from lehr.techniques.plan import plan_training
from lehr.techniques.precision import Precision, autocast, new_scaler

STEPS = 4
"""Steps of the run that a step belongs to."""


@dataclass(frozen=True, slots=True)
class Case:
    """A training step.

    Attributes:
        model: name of the model.
        batch: images per step.
        imgsz: side of the images, pixels.
        objects: objects per image.
        classes: classes of the model.
        precision: precision in which the model computes.
        optimizer: name of the optimizer.
        loss: options of the loss.
        weighed: whether classes are weighted.
        size: side that the images are resized to, pixels; None does not resize them.
        perspective: whether the canvases are in perspective.
        mixed: number of canvases that are blended; as many are patched, and as many erased.
    """

    model: str
    batch: int = 64
    imgsz: int = 640
    objects: int = 100
    classes: int = 80
    precision: Precision = Precision.BFLOAT16
    optimizer: str = "AdamW"
    loss: LossOptions = field(default_factory=LossOptions)
    weighed: bool = False
    size: int | None = None
    perspective: bool = False
    mixed: int = 0


def fake_model(case: Case) -> DetectionModel:
    """Build a model on the fake device, channels-last."""
    model = build_without_memory(case.model, tuple(map(str, range(case.classes))), case.imgsz)
    assert model is not None
    to_fake_cuda(model)
    return model


def packed(case: Case, device: torch.device = CUDA) -> PackedCanvases:
    """Make the canvases of a batch of mosaics, all of them with changed colours, in the shapes of `pack_crops`."""
    count, side = case.batch + 2 * case.mixed, case.imgsz

    def some(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device)

    return PackedCanvases(
        width=side,
        height=side,
        pixels=some(count * side * side, 3, dtype=torch.uint8),
        inverses=some(count, 4, 3 if case.perspective else 2, 3),
        limits=some(count, 4, 4),
        crops=some(count, 4, 4, dtype=torch.int32),
        blended=some(case.mixed, dtype=torch.int64),
        shares=some(case.mixed),
        coloured=some(case.batch, dtype=torch.int64),
        tables=some(case.batch, 3, 256),
        patched=some(case.mixed, dtype=torch.int64),
        patches=some(case.mixed, 4, dtype=torch.int32),
        erased=some(case.mixed, dtype=torch.int64),
        rectangles=some(case.mixed, 4, dtype=torch.int32),
        keys=some(case.mixed, dtype=torch.int32),
    )


def fake_batch(case: Case, *, drawn: bool = True) -> Batch:
    """Make a batch on the fake device; undrawn, as when its copy to the device has been requested."""
    shape = (case.batch, 3, case.imgsz, case.imgsz)
    images = torch.empty(shape, dtype=torch.uint8, device=CUDA, memory_format=torch.channels_last)
    return Batch(
        images if drawn else images.new_empty(0),
        torch.empty((case.batch, case.objects, 4), device=CUDA),
        torch.empty((case.batch, case.objects), dtype=torch.int64, device=CUDA),
        torch.zeros(case.batch, dtype=torch.int64),
        torch.zeros(case.batch, 4),
        instances=case.batch * case.objects,
        packed=None if drawn else packed(case),
    )


class Training:
    """A run's state and step on the fake device; to be created and used within `fake_cuda`.

    Args:
        case: the step.

    Attributes:
        state: the training state.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        model = fake_model(case)
        statistics = Statistics(model)
        weights = torch.ones(case.classes, device=CUDA) if case.weighed else None
        loss = build_loss(model, case.loss, case.imgsz, weights)
        self._forward_loss = ForwardLoss(model, loss, CUDA)
        options = ScheduleOptions(optimizer=case.optimizer, nominal_batch=case.batch, warmup="none")
        run = {"epochs": 1, "images": STEPS * case.batch, "batch": case.batch, "classes": case.classes}
        plan = plan_training(options, **run)
        self.state = TrainState(
            model.train(),
            build_optimizer(model, plan.optimizer, plan.weight_decay),
            ModelEma(model),
            EarlyStopping(0),
            EpochSums.of_parts(loss.parts, CUDA),
            precision=case.precision,
            scaler=new_scaler(CUDA, case.precision),
            finite=torch.ones((), dtype=torch.bool, device=CUDA),
        )
        self._profile = Profile(CUDA, on=False)
        self._step = TrainStep(
            self.state, plan, self._forward_loss, statistics, step_sync=None, clip_norm=10.0, profile=self._profile
        )
        self._posted = StepStatusQueue()

    def make_moments(self) -> None:
        """Make the optimizer create its moments, as in a first step; for SGD, this is a decision of the host."""
        parameters = list(self.state.model.parameters())
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
        with waits_allowed(), Counting():
            self.state.optimizer.step()
            self.state.optimizer.zero_grad()

    def count(self, *, save: bool = False) -> dict[str, Stage]:
        """Count a step of an optimizer that has its moments.

        Args:
            save: copy the state for a checkpoint afterwards, which is not counted.

        Returns:
            Stages by name: drawing, forward, loss, backward, optimizer, EMA, and the rest.

        Raises:
            HostWait: the host waits in it.
            DeviceMismatch: tensors of different devices meet.
        """
        with Counting(self.tensors()) as counting:
            self.step(counting)
        if save:
            with Counting():
                snapshot(self.state.state_dict())
        counting.stages.pop("before")
        return counting.stages

    def step(self, counting: Counting | None = None) -> None:
        """Draw a batch and train on it.

        Args:
            counting: receives each stage.
        """
        mark = counting.mark if counting is not None else lambda stage: None
        self._profile.mark = self._forward_loss.mark = mark  # type: ignore[method-assign]
        undrawn = fake_batch(self._case, drawn=False)
        mark("before")
        batch = undrawn.to(CUDA)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        del undrawn
        mark("drawing")
        outcome = self._step(batch, self._case.size)
        self._posted.post(self.state.step, (), outcome.loss, outcome.norm, outcome.finite, outcome.scale)
        self.state.step += 1
        mark("rest")

    def tensors(self) -> Iterator[Tensor]:
        """Yield weights, their average, statistics and the optimizer's moments."""
        state = self.state
        for module in (state.model, state.evaluated_model):
            yield from (*module.parameters(), *module.buffers())
        for moments in state.optimizer.state.values():
            yield from (value for value in moments.values() if isinstance(value, Tensor))


def count_step(case: Case, *, kernels: bool = True) -> dict[str, Stage]:
    """Count the second step of a training.

    Args:
        case: the step.
        kernels: with Lehr's kernels, else with torch's operations.

    Returns:
        Stages by name, as from `Training.count`.

    Raises:
        HostWait: the host waits in it.
        DeviceMismatch: tensors of different devices meet.
    """
    with fake_cuda(kernels):
        training = Training(case)
        with waits_allowed(), Counting():  # SGD creates its moments in its first step: a decision of the host
            training.step()
        return training.count()


def count_soon(case: Case, *, kernels: bool = True, save: bool = False) -> dict[str, Stage]:
    """Count the first step of a training whose optimizer has its moments, in half the time of `count_step`.

    What the first step creates for all others, such as the head's grids, is counted as well.

    Args:
        case: the step.
        kernels: with Lehr's kernels, else with torch's operations.
        save: copy the state for a checkpoint afterwards, which is not counted.

    Returns:
        Stages by name, as from `Training.count`.

    Raises:
        HostWait: the host waits in it.
        DeviceMismatch: tensors of different devices meet.
    """
    with fake_cuda(kernels):
        training = Training(case)
        training.make_moments()
        return training.count(save=save)


def count_optimizer(name: str) -> Stage:
    """Count clipping, an optimizer's second step and the average, for weights of each kind.

    Args:
        name: name of the optimizer.

    Raises:
        HostWait: the host waits in it.
        DeviceMismatch: tensors of different devices meet.
    """
    options = ScheduleOptions(optimizer=name, warmup="none")
    plan = plan_training(options, epochs=1, images=64, batch=64, classes=80)
    with fake_cuda():
        model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
        to_fake_cuda(model)
        optimizer, ema = build_optimizer(model, plan.optimizer, plan.weight_decay), ModelEma(model)
        parameters = list(model.parameters())
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()
        with Counting() as counting:
            assert step_if_finite(optimizer, clip_gradients(parameters, 10.0).isfinite())
            ema.update()
            counting.mark("optimizer")
    return counting.stages["optimizer"]


class Answer:
    """Outputs of a model for a batch, as leaves from which losses can be computed one after another.

    Args:
        case: the model and its batch.
        kernels: with Lehr's kernels, else with torch's operations.
    """

    def __init__(self, case: Case, *, kernels: bool = True) -> None:
        self._case, self._kernels = case, kernels
        with fake_cuda(kernels) as mode, torch.no_grad():
            self._model = fake_model(case)
            with autocast(CUDA, case.precision):
                self._prediction = self._model(fake_batch(case).normalized())
        self._mode = mode

    def count_loss(self, options: LossOptions, *, weights: str | None = None, objects: int | None = None) -> Stage:
        """Count a loss, forward and backward up to the model's outputs.

        Args:
            options: options of the loss.
            weights: device of the class weights; None for none.
            objects: objects per image; None for those of the case.

        Raises:
            HostWait: the host waits in it.
            DeviceMismatch: tensors of different devices meet.
        """
        case = self._case if objects is None else dataclasses.replace(self._case, objects=objects)
        with fake_cuda(self._kernels, self._mode):
            names = [name for name in ("distances", "logits") if hasattr(self._prediction, name)]
            leaves = {name: getattr(self._prediction, name).detach().requires_grad_() for name in names}
            prediction = dataclasses.replace(self._prediction, **leaves)
            weighed = None if weights is None else torch.ones(case.classes, device=weights)
            loss = build_loss(self._model, options, case.imgsz, weighed)
            batch = fake_batch(case)
            with Counting(leaves.values()) as counting:
                torch.autograd.backward(loss(prediction, batch.boxes, batch.classes).sum())
                counting.mark("loss")
            assert all(leaf.grad is not None for leaf in leaves.values())
        return counting.stages["loss"]


class _LoopLeft(Exception):
    pass


class _Finder:
    """Receives predictions instead of the thread that suppresses them, and leaves the loop when all are there."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.given = 0

    def __enter__(self) -> _Finder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def give(self, boxes: Tensor, scores: Tensor, batch: Batch) -> None:
        self.given += 1

    def all(self) -> None:
        raise _LoopLeft  # from now on the host waits for the metrics


def count_validation(case: Case, *, kernels: bool = True) -> Stage:
    """Count the loop of a validation over two batches, with the loss, without suppression.

    Raises:
        HostWait: the host waits in it.
        DeviceMismatch: tensors of different devices meet.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(fake_cuda(kernels))
        model = fake_model(case).eval()
        loss = build_loss(model, case.loss, case.imgsz)
        batches = [fake_batch(case), fake_batch(case)]
        stack.enter_context(mock.patch.object(evaluator, "_Beside", _Finder))
        feed = mock.Mock()
        feed.return_value.batches.return_value = iter(batches)
        stack.enter_context(mock.patch.object(evaluator, "DevicePrefetcher", feed))
        counting = stack.enter_context(Counting([*model.parameters(), *model.buffers()]))
        with contextlib.suppress(_LoopLeft):
            how = {"loss": loss, "precision": case.precision, "timed": False}
            evaluator.evaluate(model, [], mock.Mock(), [], **how)
        counting.mark("validation")
    return counting.stages["validation"]


def count_suppression(case: Case, *, kernels: bool = True) -> Stage:
    """Count the suppression of the best candidates of a batch, which fill its images.

    With torch's operations, the host checks whether it is done as often as necessary; with kernels it must not.

    Raises:
        HostWait: the host waits in it.
    """
    rows = sum((case.imgsz // stride) ** 2 for stride in STRIDES)
    with fake_cuda(kernels), contextlib.nullcontext() if kernels else waits_allowed():
        boxes = torch.empty(case.batch, rows, 4, device=CUDA)
        scores = torch.empty(case.batch, rows * case.classes, device=CUDA)
        with Counting((boxes, scores)) as counting:
            nms._keep_of_best(boxes, scores, nms.FIRST, case.classes, 0.001, 0.7, 300)
            counting.mark("suppression")
    return counting.stages["suppression"]

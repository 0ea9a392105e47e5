"""Computation of a batch's loss as in a run: in its precision, compiled, on one or more devices."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from lehr.data.batch import Batch
from lehr.distributed.collectives import ALONE, Ranks
from lehr.distributed.step_sync import StepSync
from lehr.engine.model_with_loss import ModelWithLoss, no_mark
from lehr.engine.profile import Profile
from lehr.engine.state import TrainState
from lehr.engine.step_graphs import StepGraphs
from lehr.losses.loss import Loss
from lehr.models.detection import DetectionModel
from lehr.models.preserve_buffers import preserve_buffers
from lehr.runtime.compiled_code import keep_compiled_code
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.compiled_steps import BY_GRAPHS
from lehr.techniques.multi_scale import model_input
from lehr.techniques.non_finite import Statistics, step_if_finite
from lehr.techniques.optimizer import set_rates
from lehr.techniques.plan import TrainingPlan
from lehr.techniques.precision import Precision, input_dtype
from lehr.techniques.sync_batch_norm import Membership

REHEARSED = 64
"""Side of the image used to rehearse the exchange of gradients, pixels."""


class ForwardLoss:
    """Computes the loss of batches.

    Args:
        model: on its device, channels-last.
        loss: its loss.
        device: its device.
    """

    def __init__(self, model: DetectionModel, loss: Loss, device: torch.device) -> None:
        self.model = model
        self.loss = loss
        self.device = device
        self._here = ModelWithLoss(model, loss, device)
        self._spread: nn.Module = self._here
        self._ranks = ALONE
        self._membership: Membership | None = None
        self._own_gradients = False
        """True if accumulated gradients have separate memory, not that of the compiler's graphs."""

    @property
    def mark(self) -> Callable[[str], None]:
        """Callback for the name of each stage once it is queued on the device."""
        return self._here.mark

    @mark.setter
    def mark(self, mark: Callable[[str], None]) -> None:
        if not isinstance(self._spread, DataParallel):  # whose threads would call it at the same time
            self._here.mark = mark

    @property
    def enabled(self) -> bool:
        """Use of compiled code, if there is any."""
        return self._here.enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._here.enabled = enabled

    def compile(self, mode: str, images: int, *, sizes_vary: bool = False, backend: str = "inductor") -> None:
        """Compute whole batches by compiled code from now on; it is compiled on the first of them.

        One graph without breaks, for all counts of objects, and for all sizes where they vary. Smaller batches, such as
        the last of an epoch, run eagerly, since they would need separate code.

        Args:
            mode: off, default, reduce-overhead or max.
            images: of a whole batch; of this process's share with several processes.
            sizes_vary: compile code for every image size, as multi-scale training and rectangles need.
            backend: torch.compile's.
        """
        if mode != "off":
            keep_compiled_code()
            logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns without CUDA
        self._here.compile_for(mode, images, sizes_vary, backend)

    def join(self, ranks: Ranks, membership: Membership | None = None) -> None:
        """Average gradients over processes from now on, by DistributedDataParallel.

        It groups gradients into buckets in the order in which the first backward finished them, and the order decides
        how sums are rounded. So one backward is rehearsed here, independent of the run: a resumed run then has the same
        buckets as an uninterrupted one.

        Args:
            ranks: the processes, with equal models.
            membership: of the model's synchronized BatchNorm, if any.
        """
        if not ranks.is_distributed:
            return
        self._ranks, self._membership = ranks, membership
        # Statistics are shared by the trainer, once per step and weighted by images.
        options: dict[str, Any] = {"gradient_as_bucket_view": True}
        known = inspect.signature(DistributedDataParallel).parameters
        options["forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"] = False
        self._spread = DistributedDataParallel(self._here, **options)
        side = torch.zeros(1, 3, REHEARSED, REHEARSED, device=self.device).to(memory_format=torch.channels_last)
        objects = torch.zeros(1, 0, 4, device=self.device)
        self.model.train()
        with preserve_buffers(self.model):
            sums, _ = self._spread(side, objects, objects[..., 0].long(), Precision.FLOAT32)
            torch.autograd.backward(sums.sum())

    def spread(self, devices: Sequence[torch.device]) -> None:
        """Split each batch over several CUDA devices of this process from now on, by DataParallel.

        Args:
            devices: the first is the model's.
        """
        self._spread = DataParallel(self._here, list(devices))

    def parts(self, batch: Batch, size: int | None, precision: Precision) -> Tensor:
        """Compute the parts of a batch's loss, (parts,), with their graph; waits for no device but the CPU.

        If processes share the batch, the mean of these parts over the processes is the whole batch's loss, and the mean
        of the gradients its gradient.

        Args:
            batch: on the device, rendered.
            size: longest side that the images are resized to, pixels; None for no resizing.
            precision: in which the model computes.
        """
        own_sums, own_counts = self.sums(batch, size, precision)
        sums, counts = own_sums.sum(0), own_counts.detach().sum(0)
        if self._ranks.is_distributed:
            if batch.idle:
                sums, counts = sums * 0, counts * 0
            counts = self._ranks.all_reduce(counts)
            sums = sums * self._ranks.count
        parts = self.loss.combined(sums, counts, batch.total)
        self.mark("loss")
        return parts

    def sums(self, batch: Batch, size: int | None, precision: Precision) -> tuple[Tensor, Tensor]:
        """Sums and counts of the loss, (devices, n) each, of this process alone; as `parts`."""
        images, boxes = model_input(batch, size, input_dtype(self.model, precision))
        if self._membership is not None:
            self._membership.idle = batch.idle
        if self._here.compiles(len(batch), BY_GRAPHS):
            self._begin_replay()
        sums, counts = self._spread(images, boxes, batch.classes, precision)
        return sums, counts

    def _begin_replay(self) -> None:
        """Let the compiler's graphs overwrite their outputs of the previous step, except accumulated gradients."""
        under_way = [each for each in self.model.parameters() if each.grad is not None]
        if not under_way:
            self._own_gradients = False
        elif not self._own_gradients:
            copies = torch._foreach_mul([each.grad for each in under_way if each.grad is not None], 1.0)
            for parameter, gradient in zip(under_way, copies, strict=True):
                parameter.grad = gradient
            self._own_gradients = True
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # missing in its stubs


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """Outcome of a training step, on the device.

    Attributes:
        loss: (parts,), of the whole batch.
        norm: () of the gradient, before clipping; None if no optimizer step was due.
        finite: (), whether the optimizer step, else the loss, was finite.
        scale: () of the loss, in float16; None in other precisions.
        flags: numbers for `StepFlags.of`, where several processes train.
    """

    loss: Tensor
    norm: Tensor | None
    finite: Tensor
    scale: Tensor | None
    flags: Tensor | None


class TrainStep:
    """Training step: loss, gradients, optimizer, average.

    Args:
        state: the training state, changed by each step.
        plan: rates of every step.
        forward_loss: from a batch to its loss.
        statistics: the BatchNorm statistics of the model.
        step_sync: what several processes exchange in a step; None for one process.
        clip_norm: largest norm of the gradient; 0 is not a bound.
        profile: measures the stages.
        captured: batch size of steps captured as CUDA graphs; None for never.
        say: reports where that fails.
    """

    def __init__(
        self,
        state: TrainState,
        plan: TrainingPlan,
        forward_loss: ForwardLoss,
        statistics: Statistics,
        *,
        step_sync: StepSync | None,
        clip_norm: float,
        profile: Profile,
        captured: int | None = None,
        say: Callable[[str], None] = no_mark,
    ) -> None:
        self._state = state
        self._plan = plan
        self._forward_loss = forward_loss
        self._statistics = statistics
        self._step_sync = step_sync
        self._clip_norm = clip_norm
        self._profile = profile
        self._graphs: StepGraphs | None = None
        if captured is not None:
            self._graphs = StepGraphs(
                self._launched, state.model, captured, forward_loss.device, quiet=profile.quiet, say=say
            )

    def __call__(
        self, batch: Batch, size: int | None = None, *, save: bool = False, stop: int | None = None
    ) -> StepOutcome:
        """Compute loss and gradients of a batch, and step the optimizer when due; never wait for the device.

        Args:
            batch: on the device; the state's step is its number.
            size: longest side that the images are resized to, pixels; None for no resizing.
            save: signal to the other processes that this one wants the state saved.
            stop: send them the signal that asked this one to stop.
        """
        state = self._state
        sums, flags = state.sums, None
        self._statistics.remember()
        loss = self.gradients(batch, size)
        if self._step_sync is None:
            sums.instances += batch.instances
            sums.replaced += len(batch.faults)
        else:
            loss, flags = self._step_sync(
                loss,
                instances=0 if batch.idle else batch.instances,
                replaced=0 if batch.idle else len(batch.faults),
                share=batch.share,
                save=save,
                stop=stop,
            )
        finite = loss.isfinite().all()
        self._statistics.keep_if(finite)
        sums.add(loss, finite, batch.total)
        state.finite.logical_and_(finite)
        scale = None if state.scaler is None else state.scaler.scale(torch.ones((), device=loss.device))
        norm, finite = self._update(finite)
        return StepOutcome(loss, norm, finite, scale, flags)

    def gradients(self, batch: Batch, size: int | None) -> Tensor:
        """Compute the parts of a batch's loss, detached; its gradients are added to the existing ones.

        Args:
            batch: on the device.
            size: longest side that the images are resized to, pixels; None for no resizing.
        """
        if self._graphs is not None and size is None:
            loss = self._graphs(batch, self._state.scaler)
            if loss is not None:
                self._profile.mark("captured step")
                return loss
        return self._launched(batch, size)

    def _launched(self, batch: Batch, size: int | None = None) -> Tensor:
        """As `gradients`, kernel by kernel."""
        scaler = self._state.scaler
        loss = self._forward_loss.parts(batch, size, self._state.precision)
        torch.autograd.backward(loss.sum() if scaler is None else scaler.scale(loss.sum()))
        self._profile.mark("backward")
        return loss.detach()

    def _update(self, finite: Tensor) -> tuple[Tensor | None, Tensor]:
        """Update the weights when enough batches have accumulated, with the rates of this step.

        Args:
            finite: (), whether this batch's loss is.

        Returns:
            The norm of the gradient, or None if no step was due; and whether the step, or else the batch, was finite.
        """
        state, scale = self._state, self._state.recovery.lr_scale
        rates = self._plan.at(state.step)
        weights, norms, biases = rates.lr
        set_rates(state.optimizer, (weights * scale, norms * scale, biases * scale), rates.momentum)
        if state.step - state.last_update < rates.accumulate:
            return None, finite
        if state.scaler is not None:
            state.scaler.unscale_(state.optimizer)
        norm = clip_gradients(state.model.parameters(), self._clip_norm)
        finite = state.finite & norm.isfinite()
        made = step_if_finite(state.optimizer, finite)
        self._profile.mark("optimizer")
        if made and state.ema is not None:
            state.ema.update()
        self._profile.mark("EMA")
        if state.scaler is not None:
            state.scaler.update()
        state.optimizer.zero_grad()
        state.finite.fill_(True)
        state.last_update = state.step
        return norm, finite

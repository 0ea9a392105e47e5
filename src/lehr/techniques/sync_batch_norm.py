"""Batch normalization over the images of all processes, for few images on each.

BatchNorm takes mean and variance of a channel over its batch (Ioffe & Szegedy, 2015). Where each of several processes
has only a few images, these statistics are noisy, and those of all processes together are better (Peng et al.,
"MegDet", 2018). Each process p counts its own values, `n_p` with mean `m_p` and variance `v_p`, and all of them are
combined (Chan, Golub & LeVeque, 1979):

    m = sum_p n_p m_p / n        v = sum_p n_p (v_p + (m_p - m)^2) / n        with n = sum_p n_p

The gradient of the input needs two more sums over all processes, since each value moved m and v. With dy the gradient
of the output and x' the normalized input:

    dx = weight / sqrt(v + eps) * (dy - mean(dy) - x' mean(dy x'))

That of weight and bias is each process's own, as for other parameters: DistributedDataParallel takes their mean.

On CUDA, torch's kernels compute it, a few per layer; elsewhere, general operations do. The host waits for neither.
torch.nn.SyncBatchNorm takes no CPU tensors, and drops empty shares by a mask that the host waits for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lehr.distributed.process_count import trains_together
from lehr.technique import NoEffect, Run, Section, State, Technique

NO_VALUES = 1e-20
"""Count that an idle process passes to the kernel: negligible next to any other, and 0 as an integer."""


@dataclass(slots=True)
class Membership:
    """Role of this process in the current batch; one object for all layers of a model and its copies.

    Attributes:
        idle: it has no image, and computes a stand-in whose loss has weight 0: the stand-in is normalized as the other
            processes' images are, and moves neither their statistics nor their gradients.
    """

    idle: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Membership:
        return self


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm whose batch is the images of all processes, made by `convert`.

    While training, in the default group of several processes, all of them call it together, forward and backward: the
    loss of each has to depend on the output of each layer, even with weight 0. Otherwise it is nn.BatchNorm2d.

    The running variance divides by n - 1, that of a single value is 0; nn.BatchNorm2d refuses a single value, which
    here no process knows of.

    Torch's kernels do not count batches in `num_batches_tracked`, which nothing reads at a fixed momentum.

    Attributes:
        membership: the role of this process.
        plain_in_eval: true, since evaluation is that of nn.BatchNorm2d.
    """

    membership: Membership
    plain_in_eval: ClassVar[bool] = True

    def forward(self, x: Tensor) -> Tensor:
        """Normalize features (batch, channels, h, w) of any dtype and memory format."""
        if not _several_processes():
            return super().forward(x)
        if not self.training:
            return self._by_running_statistics(x)
        self._check_input_dim(x)
        idle = self.membership.idle
        if _has_kernels(x) and self.momentum is not None and self.running_mean is not None:
            learned = (self.weight, self.bias, self.running_mean, self.running_var)
            normalized: Tensor = _NormalizeByKernels.apply(x, *learned, self.momentum, self.eps, idle)
            return normalized
        mean, var, count = statistics_of_all(x, idle)
        self._track(mean, var, count)
        out: Tensor = _Normalize.apply(x, self.weight, self.bias, mean, var, count, self.eps, idle)
        return out

    def _by_running_statistics(self, x: Tensor) -> Tensor:
        """Normalize by the running statistics, of which the backward pass gets copies.

        They may be views of one block, and what a later layer writes to the block counts as a change of all of them.
        """
        if not torch.is_grad_enabled() or self.running_mean is None or self.running_var is None:
            return super().forward(x)
        mean, var = self.running_mean.clone(), self.running_var.clone()
        return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.eps)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Update the running statistics in place: they may be views of one block."""
        if self.running_mean is None or self.running_var is None:
            return
        factor: float | Tensor = self.momentum or 0.0
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average of all batches
                factor = 1 / self.num_batches_tracked
        unbiased = var * (count / (count - 1).clamp(min=1))
        self.running_mean.mul_(1 - factor).add_(factor * mean)
        self.running_var.mul_(1 - factor).add_(factor * unbiased)


def convert(model: nn.Module) -> Membership:
    """Convert every BatchNorm layer of a model to one over all processes; parameters, buffers and names stay.

    Args:
        model: changed in place.

    Returns:
        The role of this process, to be set before each batch.
    """
    membership = Membership()
    norms: list[Any] = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.__class__ = SyncBatchNorm2d
        norm.membership = membership
    return membership


@torch.no_grad()
def statistics_of_all(x: Tensor, idle: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Statistics over the images of all processes, the same bit for bit on each; one exchange.

    Args:
        x: (batch, channels, h, w), the images of this process.
        idle: whether to exclude them.

    Returns:
        Mean and biased variance, (channels,) each, and (), the values per channel they were taken over; at least
        float32.
    """
    channels = x.shape[1]
    count = 0 if idle else x.numel() // channels
    dtype = torch.promote_types(x.dtype, torch.float32)
    local = x.new_zeros(2 * channels + 1, dtype=dtype)
    if count:
        var, mean = torch.var_mean(x.to(dtype), (0, 2, 3), correction=0)
        local = torch.cat((mean, var, mean.new_full((1,), count)))
    # (processes, channels) twice, (processes, 1)
    means, variances, counts = torch.split(_of_all_processes(local), [channels, channels, 1], 1)
    total = counts.sum()
    shares = counts / total
    mean = (shares * means).sum(0)
    var = (shares * (variances + (means - mean).square())).sum(0)
    return mean, var, total


def _of_all_processes(local: Tensor) -> Tensor:
    """Numbers (n,) of each process, as (processes, n) on each."""
    every = local.new_empty(dist.get_world_size(), len(local))
    gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # the name before torch 2.14
    gather(every.view(-1), local)
    return every


class _Normalize(torch.autograd.Function):
    """Normalizes with statistics over the values of all processes, and propagates gradients through them."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: Tensor,
        eps: float,
        idle: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps, ctx.idle = eps, idle
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, count = ctx.saved_tensors
        dy = _laid_out_as(dy, x)
        need_dx, need_weight, need_bias, *_ = ctx.needs_input_grad
        # What the gradients would be if the statistics were constants; an idle process's are at most that. CUDA insists
        # on the saved statistics, though it computes with the others here.
        saved = (None, None) if x.device.type == "cpu" else (mean, torch.rsqrt(var + ctx.eps))
        dx, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
            dy, x, weight, mean, var, *saved, False, ctx.eps, (need_dx, True, True)
        )
        if need_dx:
            sums = torch.stack((d_bias, d_weight)).to(mean.dtype)  # (2, channels), of dy and dy x'
            if ctx.idle:
                sums.zero_()
            dist.all_reduce(sums)
            if not ctx.idle:
                # The part through the statistics is linear in x', so it is a normalization of the input too. In half
                # precision the sum of both is about as exact as dy is.
                scale = -torch.rsqrt(var + ctx.eps) / count
                shift, slope = sums * (scale if weight is None else scale * weight)
                dx += F.batch_norm(x, mean, var, slope, shift, False, 0.0, ctx.eps)
        return dx, d_weight if need_weight else None, d_bias if need_bias else None, *[None] * 5


class _NormalizeByKernels(torch.autograd.Function):
    """As `_Normalize`, statistics included, by torch's kernels for CUDA: three per layer forward, two backward.

    A process that is idle says that its mean of 0 was taken over `NO_VALUES`: the kernel divides by the sum of the
    counts so far, so that 0 would give NaN.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        idle: bool,
    ) -> Tensor:
        channels = x.shape[1]
        count = x.numel() // channels
        x = _laid_out_as(x, x)
        if idle:
            local = x.new_zeros(2 * channels + 1, dtype=running_mean.dtype)
            local[channels:].fill_(1)  # any but 0, of which the kernel takes the inverse
            local[-1:].fill_(NO_VALUES)
        else:
            mean, invstd = torch.batch_norm_stats(x, eps)
            local = torch.cat((mean, invstd, mean.new_full((1,), count)))
        every = _of_all_processes(local)
        means, invstds, counts = torch.split(every, [channels, channels, 1], 1)
        counts = counts.view(-1)
        # With a single value in all, which this process cannot rule out in either case, the kernel divides by 0.
        certain = not idle and count > 1
        var = running_var if certain else running_var.clone()
        mean, invstd = torch.batch_norm_gather_stats_with_counts(
            local, means, invstds, running_mean, var, momentum, eps, counts
        )
        if not certain:
            running_var.copy_(torch.where(var.isfinite(), var, running_var * (1 - momentum)))
        ctx.save_for_backward(x, weight, mean, invstd, counts)
        ctx.idle = idle
        return torch.batch_norm_elemt(x, weight, bias, mean, invstd, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, invstd, counts = ctx.saved_tensors
        dy = _laid_out_as(dy, x)
        need_dx, need_weight, need_bias, *_ = ctx.needs_input_grad
        sum_dy, sum_dy_xmu, d_weight, d_bias = torch.batch_norm_backward_reduce(
            dy, x, mean, invstd, weight, need_dx, need_weight, need_bias
        )
        dx = None
        if need_dx:
            sums = torch.stack((sum_dy, sum_dy_xmu))  # (2, channels)
            if ctx.idle:
                sums.zero_()
            dist.all_reduce(sums)
            if ctx.idle:  # its statistics are constants
                sums.zero_()
            dx = torch.ops.aten.batch_norm_backward_elemt(dy, x, mean, invstd, weight, *sums, counts.to(torch.int32))
        return dx, d_weight if need_weight else None, d_bias if need_bias else None, *[None] * 5


def _laid_out_as(tensor: Tensor, x: Tensor) -> Tensor:
    """A tensor in the memory format of features: channels-last or contiguous.

    In a different one, torch sums half precision in half precision on the CPU, and copies on CUDA.
    """
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return tensor.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _has_kernels(x: Tensor) -> bool:
    """Return whether torch has kernels of synchronized BatchNorm for the device of features."""
    return x.is_cuda


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _without_effect(run: Run) -> dict[str, NoEffect]:
    return {} if trains_together(run.config.devices) else {"sync_bn": NoEffect("one process sees whole batches")}


TECHNIQUE = Technique(
    name="synchronized BatchNorm",
    page="sync-batch-norm",
    section=Section.DEVICE,
    order=40,
    options=("sync_bn",),
    without_effect=_without_effect,
    why="few images per device give noisy statistics",
    state=lambda run: State(run.config.devices.sync_bn, "over the images of all processes, if there are several"),
    turn_on="--sync-bn",
    turn_off="--no-sync-bn",
)

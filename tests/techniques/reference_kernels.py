"""Torch's kernels of synchronized BatchNorm, computed by their formulas where torch has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LAST = torch.channels_last


class ReferenceKernels:
    """Torch's kernels of synchronized BatchNorm, which it has for CUDA alone: by their formulas, in float64.

    They are registered with torch's dispatcher, which holds calls to their schemas, and refuse what CUDA's do.

    Attributes:
        called: their names, in order.
    """

    def __init__(self) -> None:
        self.called: list[str] = []
        self._library = torch.library.Library("aten", "IMPL")
        for kernel in (
            self.batch_norm_stats,
            self.batch_norm_gather_stats_with_counts,
            self.batch_norm_elemt,
            self.batch_norm_backward_reduce,
            self.batch_norm_backward_elemt,
        ):
            self._library.impl(kernel.__name__, self._noted(kernel), "CPU")

    def _noted(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            self.called.append(kernel.__name__)
            return kernel(*args)

        return noted

    @staticmethod
    def _columns(values: Tensor) -> Tensor:
        """(channels, values) in float64."""
        return values.double().transpose(0, 1).flatten(1)

    @staticmethod
    def _of_channels(values: Tensor | None, default: float) -> Tensor:
        """(channels, 1, 1) in float64."""
        return torch.tensor(default) if values is None else values.double().view(-1, 1, 1)

    def batch_norm_stats(self, x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        values = self._columns(x)
        invstd = (values.var(1, correction=0) + eps).rsqrt()
        return values.mean(1).float(), invstd.float()

    def batch_norm_gather_stats_with_counts(
        self,
        x: Tensor,
        means: Tensor,
        invstds: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        counts: Tensor,
    ) -> tuple[Tensor, Tensor]:
        assert counts.shape == (len(means),) == (len(invstds),)
        assert means.dtype == invstds.dtype == torch.float32 and counts.dtype == running_mean.dtype
        mean = var = n = torch.zeros(())  # as CUDA adds up one process after another, in float32
        for m, invstd, count in zip(means, invstds, counts, strict=True):
            factor = 1 / (n + count)
            var = var + ((1 / invstd).square() - eps) * count + (mean - m).square() * n * count * factor
            mean = n * factor * mean + count * factor * m
            n = n + count
        running_mean.copy_(momentum * mean + (1 - momentum) * running_mean)
        running_var.copy_(momentum * (var / (n - 1)) + (1 - momentum) * running_var)
        return mean, (var / n + eps).rsqrt()

    def batch_norm_elemt(
        self, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, invstd: Tensor, eps: float
    ) -> Tensor:
        assert mean.dtype == invstd.dtype == torch.float32
        slope = self._of_channels(weight, 1) * self._of_channels(invstd, 1)
        out = (x.double() - self._of_channels(mean, 0)) * slope + self._of_channels(bias, 0)
        return torch.empty_like(x).copy_(out)

    def batch_norm_backward_reduce(
        self,
        dy: Tensor,
        x: Tensor,
        mean: Tensor,
        invstd: Tensor,
        weight: Tensor | None,
        input_g: bool,
        weight_g: bool,
        bias_g: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        for form in (torch.contiguous_format, LAST):
            assert dy.is_contiguous(memory_format=form) == x.is_contiguous(memory_format=form)
        columns = self._columns(dy)
        sum_dy = columns.sum(1)
        sum_dy_xmu = (columns * (self._columns(x) - mean.double().unsqueeze(1))).sum(1)
        wanted = (sum_dy, input_g), (sum_dy_xmu, input_g), (sum_dy_xmu * invstd, weight_g), (sum_dy, bias_g)
        one, two, three, four = (value.float() if want else torch.empty(0) for value, want in wanted)
        return one, two, three, four.clone()

    def batch_norm_backward_elemt(
        self,
        dy: Tensor,
        x: Tensor,
        mean: Tensor,
        invstd: Tensor,
        weight: Tensor | None,
        sum_dy: Tensor,
        sum_dy_xmu: Tensor,
        count: Tensor,
    ) -> Tensor:
        assert count.dtype == torch.int32 and sum_dy.dtype == sum_dy_xmu.dtype == torch.float32
        inverse, n = self._of_channels(invstd, 1), count.sum().double()
        through = (x.double() - self._of_channels(mean, 0)) * inverse.square() * self._of_channels(sum_dy_xmu, 0) / n
        dx = (dy.double() - self._of_channels(sum_dy, 0) / n - through) * inverse * self._of_channels(weight, 1)
        return torch.empty_like(x).copy_(dx)

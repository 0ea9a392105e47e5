"""BatchNorm that accepts a single value per channel: one image whose features are one cell.

BatchNorm divides by the variance over a batch (Ioffe & Szegedy, 2015), which a single value does not have. This occurs
if the last batch of an epoch holds one image, a process has one image of a batch, or `--batch 1`, at sizes of which the
deepest level is one cell: 32 pixels, by `--imgsz`, `--multi-scale`, `--rect` or cells. torch raises an error for it in
the middle of the run. Here the running statistics replace it, as in evaluation, and stay unchanged.
"""

from __future__ import annotations

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lehr.kernels import support


class BatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d, except that a single value per channel is normalized by the unchanged running statistics.

    On CUDA, batches are not counted in `num_batches_tracked`, which would cost a launch per layer: it is not read at a
    fixed momentum.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize features (batch, channels, h, w)."""
        several = x.numel() > x.shape[1]
        uncounted = several and x.device.type == "cuda" and self.momentum is not None
        if not self.training or self.running_mean is None or (several and not uncounted):
            return super().forward(x)
        momentum = self.momentum if several and self.momentum is not None else 0.0
        learned = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(x, *learned, several, momentum, self.eps)


def take_single_values(model: nn.Module) -> None:
    """Make every BatchNorm layer of a model accept single values; parameters, buffers and names stay.

    Args:
        model: changed in place; of any family, also of another package.
    """
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNorm2d


def norm_and_activation(norm: nn.Module, activation: nn.Module, x: Tensor) -> Tensor:
    """Normalize features, then apply the activation: on CUDA in one kernel where these are BatchNorm and SiLU.

    The kernel does not count batches in `num_batches_tracked`.

    Args:
        norm: the normalization.
        activation: applied after it.
        x: features (batch, channels, h, w).
    """
    if support.usable(x.device) and _suits_kernel(norm, activation, x):
        from lehr.kernels.batch_norm_silu import batch_norm_silu, normalize_silu

        assert norm.running_mean is not None and norm.running_var is not None
        learned = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if not norm.training:
            return normalize_silu(x, *learned, norm.eps)
        assert norm.momentum is not None
        return batch_norm_silu(x, *learned, norm.momentum, norm.eps)
    out: Tensor = activation(norm(x))
    return out


def _suits_kernel(norm: nn.Module, activation: nn.Module, x: Tensor) -> TypeGuard[nn.BatchNorm2d]:
    """Return whether the kernel can compute these modules on given features."""
    if type(activation) is not nn.SiLU or not isinstance(norm, nn.BatchNorm2d):
        return False
    plain = type(norm) in (nn.BatchNorm2d, BatchNorm2d)
    if not plain and (norm.training or not getattr(norm, "plain_in_eval", False)):
        return False
    several = norm.momentum is not None and x.numel() > x.shape[1]
    return (
        (several if norm.training else not torch.is_grad_enabled())  # frozen layers in training are left to torch
        and norm.affine
        and norm.running_mean is not None
        and norm.weight.dtype == torch.float32
        and x.numel() > 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and not (norm._forward_hooks or norm._forward_pre_hooks or activation._forward_hooks)
    )

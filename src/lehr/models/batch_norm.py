"""BatchNorm that takes a batch of a single value a channel: one image whose features are one cell.

BatchNorm divides by the variance over a batch (Ioffe & Szegedy, 2015), which a single value does not have. It comes up
where the last batch of an epoch holds one image, a process has one image of a batch, or `--batch 1`, at sizes of which
the deepest level is one cell: 32 pixels, by `--imgsz`, `--multi-scale`, `--rect` or cells. torch refuses it in the
middle of the run. Here the running statistics take its place, as in evaluation, and stay as they are.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d, but that a single value a channel is normalized by the running statistics, which it leaves."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, channels, h, w) to the same normalized."""
        if not self.training or self.running_mean is None or x.numel() > x.shape[1]:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def take_single_values(model: nn.Module) -> None:
    """Have every BatchNorm layer of a model take single values too; parameters, buffers and names stay.

    Args:
        model: changed in place; of whatever family, also one of another package.
    """
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNorm2d

"""Layers of the YOLO families; attribute names are those of the published checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lehr.models.batch_norm import norm_and_activation
from lehr.models.convolution import convolve


class Conv(nn.Module):
    """Convolution without bias, batch normalization, SiLU; padding keeps the size at stride 1.

    Args:
        c_in: input channels.
        c_out: output channels.
        kernel: kernel side, pixels.
        stride: stride, pixels.
        padding: padding, pixels; None for kernel // 2.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, padding: int | None = None) -> None:
        super().__init__()
        pad = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        # Not in place: its backward pass needs the input, so working in place would force a copy.
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c_in, h, w) to (batch, c_out, h / stride, w / stride)."""
        return norm_and_activation(self.bn, self.act, convolve(self.conv, x))


class Bottleneck(nn.Module):
    """Two convolutions with an optional shortcut around them (He et al., 2016).

    Args:
        c_in: input channels.
        c_out: output channels; a shortcut needs as many as `c_in`.
        shortcut: whether to add the input to the output.
        kernels: kernel sides of the two convolutions.
        expansion: hidden channels as a fraction of `c_out`.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        shortcut: bool = True,
        kernels: tuple[int, int] = (3, 3),
        expansion: float = 0.5,
    ) -> None:
        super().__init__()
        hidden = int(c_out * expansion)
        self.cv1 = Conv(c_in, hidden, kernels[0])
        self.cv2 = Conv(hidden, c_out, kernels[1])
        self.add = shortcut and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c_in, h, w) to (batch, c_out, h, w)."""
        out: Tensor = self.cv2(self.cv1(x))
        return x + out if self.add else out


class C2f(nn.Module):
    """Cross-stage partial block of YOLOv8: every bottleneck's output is kept and all are concatenated.

    A 1x1 convolution makes two halves; the second runs through the bottlenecks one after another; halves and
    bottleneck outputs are concatenated and joined by a 1x1 convolution.
    """

    def __init__(self, c_in: int, c_out: int, repeats: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        self.c = c_out // 2
        self.cv1 = Conv(c_in, 2 * self.c)
        self.cv2 = Conv((2 + repeats) * self.c, c_out)
        self.m = nn.ModuleList(Bottleneck(self.c, self.c, shortcut, (3, 3), 1.0) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c_in, h, w) to (batch, c_out, h, w)."""
        parts = list(self.cv1(x).chunk(2, 1))
        if x.device.type == "cuda":  # otherwise each convolution that reads it copies it, forward and backward
            parts[1] = parts[1].contiguous(memory_format=torch.channels_last)
        for bottleneck in self.m:
            parts.append(bottleneck(parts[-1]))
        out: Tensor = self.cv2(torch.cat(parts, 1))
        return out


class C3(nn.Module):
    """Cross-stage partial block of YOLOv5 (Wang et al., "CSPNet", 2020).

    Two 1x1 convolutions make halves; one runs through the bottlenecks; both are concatenated and joined by a third.
    """

    def __init__(self, c_in: int, c_out: int, repeats: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        hidden = c_out // 2
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(c_in, hidden)
        self.cv3 = Conv(2 * hidden, c_out)
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, shortcut, (1, 3), 1.0) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c_in, h, w) to (batch, c_out, h, w)."""
        out: Tensor = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))
        return out


class SPP(nn.Module):
    """Spatial pyramid pooling: max-pools of several sides next to the input (He et al., 2015).

    Args:
        c_in: input channels.
        c_out: output channels.
        kernels: sides of the pools, pixels.
    """

    def __init__(self, c_in: int, c_out: int, kernels: tuple[int, ...] = (5, 9, 13)) -> None:
        super().__init__()
        hidden = c_in // 2
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(hidden * (len(kernels) + 1), c_out)
        self.m = nn.ModuleList(nn.MaxPool2d(kernel, stride=1, padding=kernel // 2) for kernel in kernels)

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c_in, h, w) to (batch, c_out, h, w)."""
        x = self.cv1(x)
        out: Tensor = self.cv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))
        return out


class SPPF(nn.Module):
    """Spatial pyramid pooling by three chained max-pools, equal to pools of 5, 9 and 13 pixels (He et al., 2015)."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 5) -> None:
        super().__init__()
        hidden = c_in // 2
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(hidden * 4, c_out)
        self.m = nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c_in, h, w) to (batch, c_out, h, w)."""
        parts = [self.cv1(x)]
        for _ in range(3):
            parts.append(self.m(parts[-1]))
        out: Tensor = self.cv2(torch.cat(parts, 1))
        return out


class Upsample(nn.Upsample):
    """Nearest-neighbour upsampling by 2, in the type of its features.

    It copies values, so the float32 of autocast gains nothing, and would make the concatenated result float32, too.
    """

    def __init__(self) -> None:
        super().__init__(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, c, h, w) to (batch, c, 2 h, 2 w)."""
        kind = x.device.type
        if kind == "cuda" and not torch.compiler.is_compiling():
            return doubled(x)
        if not torch.is_autocast_enabled(kind):
            return super().forward(x)
        with torch.autocast(kind, enabled=False):
            return super().forward(x)


def doubled(x: Tensor) -> Tensor:
    """Upsample by a copy, which on CUDA takes half the time of torch's kernel for channels-last features.

    Args:
        x: (batch, c, h, w).

    Returns:
        (batch, c, 2 h, 2 w), channels-last in memory.
    """
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1)[:, :, None, :, None].expand(batch, height, 2, width, 2, channels)
    return rows.reshape(batch, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


class Concat(nn.Module):
    """Concatenation along the channels; a separate layer so that layers keep their published numbers."""

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Features (batch, c_i, h, w) to (batch, sum of c_i, h, w)."""
        return torch.cat(parts, 1)

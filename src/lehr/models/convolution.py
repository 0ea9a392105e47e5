"""Convolutions: torch's, and on CUDA a kernel for the one on images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lehr.kernels import support

IMAGE_CHANNELS = 4
"""Number of input channels up to which libraries pad them and our own kernel is faster."""
HALVES = (torch.bfloat16, torch.float16)


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve features like `conv(x)`.

    Args:
        conv: the convolution.
        x: (batch, channels, h, w).
    """
    if support.usable(x.device) and type(conv) is nn.Conv2d and conv.in_channels <= IMAGE_CHANNELS:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        if dtype in HALVES and _suits_kernel(conv, x):
            from lehr.kernels.image_convolution import convolve_images

            assert not isinstance(conv.padding, str)
            images = x.to(dtype).contiguous(memory_format=torch.channels_last)
            return convolve_images(images, conv.weight.to(dtype), conv.stride[0], conv.padding[0])
    out: Tensor = conv(x)
    return out


def _suits_kernel(conv: nn.Conv2d, x: Tensor) -> bool:
    """Return whether the kernel can replace a convolution."""
    square = conv.kernel_size[0] == conv.kernel_size[1] and conv.stride[0] == conv.stride[1]
    plain = conv.bias is None and conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    even = isinstance(conv.padding, tuple) and conv.padding[0] == conv.padding[1]
    small = conv.kernel_size[0] ** 2 * conv.in_channels <= 128 and conv.out_channels <= 128
    return (
        square
        and plain
        and even
        and small
        and x.numel() > 0
        and not (x.requires_grad and torch.is_grad_enabled())
        and not (conv._forward_hooks or conv._forward_pre_hooks)
    )

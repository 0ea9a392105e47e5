"""Precisions that a device can train in: tested with a small convolution, or read from the hardware's features.

The two differ. A CPU without bfloat16 instructions still computes in it, correctly and slowly; a library may lack the
backward pass of a type that the hardware has. So `works` runs a test, and `native` only reads features.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

TOLERANCES = {torch.float32: 5e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest error that counts as rounding, relative to the largest value; float32's leaves room for TensorFloat-32."""

CPU_FEATURES = {
    torch.bfloat16: frozenset({"amx_bf16", "avx512_bf16", "bf16"}),
    torch.float16: frozenset({"amx_fp16", "avx512_fp16", "fp16_arith", "asimdhp"}),
}
"""Instruction sets, any of which computes in a type, as torch and Linux name them; the last of each line are Arm's."""


def works(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether a convolution under autocast runs on a device, forward and backward, with the right numbers.

    Output and gradients are compared with the same in float64 on the CPU. Any failure, and a precision that autocast
    silently ignores, means False. Random states are unchanged.

    Args:
        device: the device to test.
        dtype: float32 (without autocast), bfloat16 or float16.
    """
    if dtype not in TOLERANCES:
        return False
    try:
        # The caller may have set a mode.
        with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
            warnings.simplefilter("ignore")  # autocast warns of what the result shows anyway
            return _rounds_only(device, dtype)
    except Exception:  # each backend has its own errors for this
        return False


def native(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the hardware reports native support of a precision; nothing is executed.

    Args:
        device: the device asked about.
        dtype: float32, bfloat16 or float16.
    """
    if dtype == torch.float32:
        return True
    if dtype not in TOLERANCES:
        return False
    if device.type == "cuda":
        return _native_cuda(device, dtype)
    if device.type == "cpu":
        return _native_cpu(dtype)
    # Apple's first GPUs emulate bfloat16, and the generations cannot be distinguished.
    return device.type == "mps" and dtype == torch.float16


def _rounds_only(device: torch.device, dtype: torch.dtype) -> bool:
    random = torch.Generator().manual_seed(0)
    image = torch.randn(2, 8, 16, 16, generator=random)
    kernel = torch.randn(16, 8, 3, 3, generator=random) / 8
    outer = torch.randn(2, 16, 16, 16, generator=random)
    truth = _convolution(image.double(), kernel.double(), outer.double(), None)
    tried = _convolution(image.to(device), kernel.to(device), outer.to(device), dtype)
    if tried[0].dtype != dtype:
        return False
    for found, true in zip(tried, truth, strict=True):
        error = (found.cpu().double() - true).abs().max() / true.abs().max()
        if not error <= TOLERANCES[dtype]:  # also if it is not a number
            return False
    return True


def _convolution(
    image: Tensor, kernel: Tensor, outer: Tensor, dtype: torch.dtype | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Output of a convolution and its gradients by image and kernel, for a given gradient of the output.

    Args:
        image: (batch, in, height, width).
        kernel: (out, in, 3, 3).
        outer: (batch, out, height, width), the incoming gradient.
        dtype: autocast's; float32 or None for none.
    """
    casts = dtype is not None and dtype != torch.float32
    image, kernel = image.clone().requires_grad_(), kernel.clone().requires_grad_()
    with torch.autocast(image.device.type, dtype=dtype if casts else None, enabled=casts):
        output = functional.conv2d(image, kernel, padding=1)
    to_image, to_kernel = torch.autograd.grad(output, (image, kernel), outer.to(output.dtype))
    return output.detach(), to_image, to_kernel


def _native_cuda(device: torch.device, dtype: torch.dtype) -> bool:
    if not torch.cuda.is_available():
        return False
    if torch.version.hip is not None:  # capabilities are numbered differently; all cards that torch supports have both
        return True
    major, _ = torch.cuda.get_device_capability(device)
    return major >= (8 if dtype == torch.bfloat16 else 7)


def _native_cpu(dtype: torch.dtype) -> bool:
    return not CPU_FEATURES[dtype].isdisjoint(cpu_features())


@functools.cache
def cpu_features() -> frozenset[str]:
    """Names of the instruction sets that this CPU has, as Linux and torch write them; empty if neither reports them."""
    reported: dict[str, Any] = {}
    if hasattr(torch.cpu, "get_capabilities"):  # not in every torch
        reported = dict(torch.cpu.get_capabilities())
    names = {name for name, has in reported.items() if has is True}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(names | set(value.split()))
    return frozenset(names)

"""A fake CUDA device: what has to be replaced in torch, Triton and Lehr for tensors without values."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from unittest import mock

import numpy as np
import torch
from benchmarks.fake_cuda.counting import Counting, DeviceMismatch, HostWait, check_one_device, place
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from lehr.kernels import support
from lehr.models import grid_cache

CUDA = torch.device("cuda", 0)
_META = torch.library.Library("aten", "IMPL", "Meta")
_META.impl("_fused_sgd_", lambda *_, **__: None)  # torch has no form of it for tensors without values

FLOPS: dict[str, Callable[[dict[str, Any]], int]] = {
    name: lambda given: 2 * given["count"] * given["channels"] * given["CIN"] * given["SIDE"] ** 2
    for name in ("_convolve", "_sum_weights")
}
"""FLOPs of kernels that multiply matrices, by their arguments."""
GLANCED_AT = {"_finish_statistics": ("x",)}
"""Tensors of which a kernel reads only a few numbers."""


@contextlib.contextmanager
def fake_cuda(kernels: bool = True, mode: FakeTensorMode | None = None) -> Iterator[FakeTensorMode]:
    """Make all tensors created here fake, including those of `cuda`.

    Args:
        kernels: whether to count Lehr's Triton kernels, each as a launch; else torch's operations replace them, as
            with `LEHR_KERNELS=off`.
        mode: mode in which other fake tensors that are used here were made.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for patch in _patches(kernels):
            stack.enter_context(patch)
        yield stack.enter_context(mode or FakeTensorMode())


def _patches(kernels: bool) -> Iterator[contextlib.AbstractContextManager[Any]]:
    replace = mock.patch.object
    # A copy of a model stays in its mode, and fake tensors take the paths of real ones.
    yield replace(FakeTensorMode, "__deepcopy__", lambda mode, memo: mode, create=True)
    yield replace(torch.utils._foreach_utils, "_foreach_supported_types", [Tensor, FakeTensor, nn.Parameter])
    yield replace(grid_cache, "Tensor", FakeTensor)
    yield replace(grid_cache, "_kept", {})
    yield replace(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    yield replace(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    yield replace(Tensor, "is_pinned", lambda tensor, device=None: tensor.device.type == "cpu")
    yield replace(FakeTensor, "tolist", _numbers)
    yield replace(support, "_works", lambda index: kernels)
    for waits in (torch.cuda, torch.cuda.Event, torch.cuda.Stream):
        yield replace(waits, "synchronize", _wait)
    if kernels:
        from triton.runtime.jit import JITFunction

        yield replace(JITFunction, "run", _launch)


def _wait(*_: Any, **__: Any) -> NoReturn:
    raise HostWait("synchronize")


def _numbers(tensor: Tensor) -> Any:
    """Return the numbers that the host knows, each 0; for those of the device it would wait."""
    if tensor.device.type == "cuda":
        raise HostWait(f"tolist{place()}")
    return np.zeros(tuple(tensor.shape)).tolist()


def _launch(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
    """Check a kernel's arguments, and count its launch."""
    given = {**dict(zip(kernel.arg_names, args, strict=False)), **kwargs}
    name = kernel.__name__
    lacking = [each for each in kernel.arg_names if each not in given]
    if lacking or len(args) > len(kernel.arg_names):
        raise TypeError(f"{name} is launched without {lacking}, or with too many arguments")
    tensors = [value for value in given.values() if isinstance(value, Tensor)]
    check_one_device(name, tensors)
    if any(tensor.device.type != "cuda" for tensor in tensors):
        raise DeviceMismatch(f"{name} of a tensor on the CPU")
    if Counting.current is not None:
        read = [given[each] for each in given if each not in GLANCED_AT.get(name, ())]
        moved = [value for value in read if isinstance(value, Tensor)]
        Counting.current.launch(name, moved, FLOPS[name](given) if name in FLOPS else 0)


def misfit() -> str | None:
    """Return why the stand-ins do not fit the installed torch; None if they do. None of Lehr's code is run."""
    try:
        with fake_cuda():
            weight = torch.ones(4, 3, 3, 3, device=CUDA, requires_grad=True)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = nn.functional.conv2d(torch.ones(1, 3, 8, 8, device=CUDA), weight).sum()
            torch.autograd.backward(loss)
            torch.cuda.Event().record(torch.cuda.current_stream(CUDA))
            torch.optim.SGD([weight], lr=0.1, momentum=0.9, fused=True).step()
    except Exception as error:  # whatever a function without a stand-in raises
        return f"{type(error).__name__}: {error}"
    return None


def to_fake_cuda(module: nn.Module) -> None:
    """Replace parameters and buffers with fake ones, as after `.to(device, memory_format=torch.channels_last)`.

    Args:
        module: changed in place, within `fake_cuda`.
    """

    def moved(tensor: Tensor) -> Tensor:
        made = torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)
        return made.contiguous(memory_format=torch.channels_last) if made.dim() == 4 else made

    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(moved(parameter), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = moved(buffer)


@contextlib.contextmanager
def waits_allowed() -> Iterator[list[str]]:
    """Let the host read single truth values, all True, as a first step or a suppression does on purpose."""
    looks: list[str] = []

    def look(tensor: Tensor) -> bool:
        looks.append(str(tensor.device))
        return True

    with mock.patch.object(Tensor, "__bool__", look):
        yield looks

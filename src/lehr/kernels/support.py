"""Use of Triton's kernels on a device: checked once, without disturbing a run."""

from __future__ import annotations

import functools
import os

import torch

from lehr.runtime.console import LOGGER

SWITCH = "LEHR_KERNELS"
"""Environment variable: `off` computes everything with torch's own operations."""


def usable(device: torch.device) -> bool:
    """Return whether the kernels of this package may be launched on a device.

    They are for CUDA, outside of `torch.compile`, which makes its own kernels. The first call on a device compiles and
    launches a small one; if that fails, e.g. without a C compiler, it is reported once and torch's own operations are
    used.
    """
    if device.type != "cuda" or torch.compiler.is_compiling():
        return False
    return _works(device.index if device.index is not None else torch.cuda.current_device())


@functools.cache
def _works(index: int) -> bool:
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no"):
        return False
    try:
        from lehr.kernels.trial import doubled

        one = torch.ones(1, device=torch.device("cuda", index))
        worked = bool(doubled(one).eq(2).all())
        why = "a test gave a wrong result"
    except Exception as error:  # any error of a compiler, a driver or a missing package
        worked, why = False, f"{type(error).__name__}: {error}".splitlines()[0]
    if not worked:
        LOGGER.warning(
            "Triton kernels cannot be used on cuda:%d (%s); torch's own, slower operations are used. The kernels need "
            "a C compiler such as gcc and the package triton.",
            index,
            why,
        )
    return worked

"""Whether Triton's kernels can be used on a device: asked once, tried once, never in the way of a run."""

from __future__ import annotations

import functools
import os

import torch

from lehr.runtime.console import LOGGER

SWITCH = "LEHR_KERNELS"
"""Environment variable: `off` computes everything by torch's own operations."""


def usable(device: torch.device) -> bool:
    """Return whether the kernels of this package may be launched on a device.

    They are for CUDA, outside of `torch.compile`, which makes kernels of its own. The first call on a device compiles
    and launches a small one; where that fails, e.g. for want of a C compiler, it is said once and torch's own
    operations are used.
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
        why = "a trial gave a wrong result"
    except Exception as error:  # whatever a compiler, a driver or a missing package raises
        worked, why = False, f"{type(error).__name__}: {error}".splitlines()[0]
    if not worked:
        LOGGER.warning(
            "Triton kernels cannot be used on cuda:%d (%s); torch's own operations take their place, which is slower. "
            "A C compiler such as gcc is needed, and the package triton.",
            index,
            why,
        )
    return worked

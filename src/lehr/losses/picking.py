"""Whether a loss looks at the data: picking out the pairs that count, or computing all so that shapes are fixed."""

from __future__ import annotations

import torch


def picks_out(device: torch.device) -> bool:
    """Whether to work on the pairs that count alone: on a CPU, where a look at the data is free.

    Elsewhere the host would wait for the device; and a compiled step has no shapes that depend on the data.
    """
    return device.type == "cpu" and not torch.compiler.is_compiling()

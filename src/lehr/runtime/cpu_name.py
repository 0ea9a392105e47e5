"""The name of the processor."""

from __future__ import annotations

from pathlib import Path

import torch


def cpu_name() -> str | None:
    """Return the processor's name as Linux, or else torch, has it; None if neither does."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    except OSError:
        pass
    reported = torch.cpu.get_capabilities().get("cpu_name") if hasattr(torch.cpu, "get_capabilities") else None
    return reported if isinstance(reported, str) else None

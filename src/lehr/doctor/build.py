"""Build of torch, and the driver of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Build:
    """The torch that is installed, and the NVIDIA driver.

    Attributes:
        torch: its version.
        cuda: CUDA that it was built with; None without.
        hip: ROCm's HIP that it was built with; None without.
        cudnn: version of cuDNN, e.g. 9.1.0; None without.
        architectures: those of GPUs that it was built for, e.g. `sm_90`.
        driver: version of the NVIDIA driver here; None without.
        trouble: why CUDA cannot be used although there is a driver; None if it can.
    """

    torch: str
    cuda: str | None
    hip: str | None
    cudnn: str | None
    architectures: tuple[str, ...]
    driver: str | None
    trouble: str | None


def examine_build() -> Build:
    """Read torch's build information and the driver's version."""
    driver = driver_version()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a driver that it cannot use: told below
        usable = torch.cuda.is_available()
        return Build(
            torch=torch.__version__,
            cuda=torch.version.cuda,
            hip=torch.version.hip,
            cudnn=_cudnn(),
            architectures=tuple(torch.cuda.get_arch_list()),
            driver=driver,
            trouble=_trouble() if driver is not None and not usable else None,
        )


def driver_version() -> str | None:
    """The NVIDIA driver's version; None if there is none."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"\s(\d{3,}\.\d+(?:\.\d+)?)\s", text)
    if found:
        return found[1]
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
        printed = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return printed[0] if printed else None


def _trouble() -> str:
    """Why CUDA cannot be used."""
    if torch.version.cuda is None:
        return "this torch is built without CUDA"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever it is, it is the answer
        return next(iter(str(error).splitlines()), type(error).__name__)
    return "PyTorch sees no CUDA device"


def _cudnn() -> str | None:
    try:
        version = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    except RuntimeError:  # built with another version than the one that was found
        return None
    if version is None:
        return None
    large = 10_000 if version >= 90_000 else 1_000  # 8.9.2 is 8902, 9.1.0 is 90100
    return f"{version // large}.{version % large // 100}.{version % 100}"

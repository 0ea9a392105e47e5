"""What a stand-in for a network needs, beside its answers, where evaluation and prediction are tested."""

from __future__ import annotations

import torch
from torch import nn


class StandInNetwork(nn.Module):
    """A network on the CPU that takes float32 of any size, and leaves the suppression to others."""

    variant = "stand-in"
    imgsz = 64
    device = torch.device("cpu")
    dtype = torch.float32
    fixed_size = None
    fixed_batch = None
    padding = 114
    suppression = None

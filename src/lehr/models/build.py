"""Models by name."""

from __future__ import annotations

import torch

from lehr.errors import InputError, did_you_mean
from lehr.models.yolov8 import SCALES, YOLOv8

MODEL_NAMES = tuple(f"yolov8{scale}" for scale in SCALES)


def check_model_name(name: str) -> None:
    """Raises InputError, with the nearest names, when there is no such model."""
    if name not in MODEL_NAMES:
        raise InputError(f"--model: there is no model '{name}'. {did_you_mean(name, MODEL_NAMES)}")


def build_model(name: str, names: tuple[str, ...], imgsz: int = 640, seed: int = 0) -> YOLOv8:
    """A freshly initialized model; the same seed gives the same weights.

    Args:
        name: a name of `MODEL_NAMES`, e.g. "yolov8n".
        names: the class names.
        imgsz: side of the square it will be trained for, pixels.
        seed: seed of the initial weights.

    Raises:
        InputError: there is no such model, or no class.
    """
    check_model_name(name)
    if not names:
        raise InputError("A detector needs at least one class; the data set names none.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return YOLOv8(name.removeprefix("yolov8"), names, imgsz)

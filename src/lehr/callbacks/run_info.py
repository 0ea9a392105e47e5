"""The run that events are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lehr.config import TrainConfig
from lehr.models.detection import DetectionModel


@dataclass(frozen=True, slots=True)
class Run:
    """The run that an event is about.

    Attributes:
        folder: its folder.
        config: its options.
        names: the class names.
        parts: names of the parts of the loss, e.g. box, cls, dfl.
        batches: batches of an epoch.
        train_images: images of the training split.
        val_images: images of the validation split.
        crowded: whether one of these holds more objects of a class than COCO counts, so that the averages over all
            detections that are kept say more.
        device: where this process trains.
        rank: this process, from 0.
        processes: all that train together.
        model: the model that is trained, itself; changes to it change the run.
        averaged: the model that is validated and saved: the average of the weights if there is one.
        older_images: images of the older data that it is evaluated on too (`--keep-val`).
        fingerprint: of its data: names, files, sizes, boxes and classes; empty if it is not known.
        warmup: steps that the warmup lasts.
        closed: last epochs without mosaic, and without whatever closes with it.
    """

    folder: Path
    config: TrainConfig
    names: tuple[str, ...]
    parts: tuple[str, ...]
    batches: int
    train_images: int
    val_images: int
    crowded: bool
    device: torch.device
    rank: int
    processes: int
    model: DetectionModel
    averaged: DetectionModel
    older_images: int = 0
    fingerprint: str = ""
    warmup: int = 0
    closed: int = 0

"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.augment.tile_grid import MAX_OVERLAP, MAX_TILE, MIN_TILE

Weights = Annotated[
    Path,
    Parameter(
        group="Model",
        help="Weights: a .safetensors file, or a checkpoint of YOLOv5, YOLOv8, YOLOv3-SPP (.pt, .onnx); or an export "
        "of Lehr's (.onnx, .pt2, the folder of an OpenVINO model).",
    ),
]
ImageSize = Annotated[
    int | None,
    Parameter(
        group="Model",
        validator=Number(gte=1),
        help="Longest side that the model sees, pixels; rounded up to a multiple of 32 (unset: that of the training).",
    ),
]
Square = Annotated[
    bool, Parameter(group="Model", help="Letterbox to squares instead of the smallest rectangle of multiples of 32.")
]
Batch = Annotated[int, Parameter(group="Model", validator=Number(gte=1), help="Images at once.")]
Device = Annotated[str, Parameter(group="Model", help="auto, cpu, cuda, mps or a CUDA index such as 0.")]
Confidence = Annotated[
    float, Parameter(group="Detection", validator=Number(gte=0, lt=1), help="Lowest score of a detection, 0 to 1.")
]
Overlap = Annotated[
    float,
    Parameter(
        group="Detection",
        validator=Number(gt=0, lte=1),
        help="Overlap (IoU) from which a detection repeats a better one, 0 to 1.",
    ),
]
Quiet = Annotated[bool, Parameter(negative=(), group="Output", help="Print errors alone; files are written as ever.")]
MostDetections = Annotated[int, Parameter(group="Detection", validator=Number(gte=1), help="Most detections an image.")]
Tile = Annotated[
    int | None,
    Parameter(
        group="Detection",
        validator=Number(gte=MIN_TILE, lte=MAX_TILE),
        help="Cut images into tiles of this side, pixels of the image; each is scaled to --imgsz, and what is found is "
        "merged in pixels of the image (unset: whole images).",
    ),
]
TileOverlap = Annotated[
    float,
    Parameter(
        group="Detection",
        validator=Number(gte=0, lte=MAX_OVERLAP),
        help="Share of a tile that the next one shows again at least, 0 to 0.9; as wide as the objects, or wider.",
    ),
]
Tta = Annotated[
    bool,
    Parameter(
        group="Detection",
        negative=(),
        help="Test-time augmentation: look at each image, or tile, at three scales, once mirrored; three times the "
        "work.",
    ),
]

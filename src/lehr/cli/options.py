"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.augment.tile_grid import MAX_OVERLAP, MAX_TILE, MIN_TILE
from lehr.options.help_groups import HelpGroup

Data = Annotated[
    str,
    Parameter(
        group=HelpGroup.BASICS,
        help="A data YAML, a YOLO or VOC folder, or a COCO JSON. `shapes` is a generated data set.",
    ),
]
"""A data set that is read."""
Weights = Annotated[
    Path,
    Parameter(
        group=HelpGroup.BASICS,
        help="A run's folder, or weights: .safetensors, .pt, .onnx; or an export of Lehr: .onnx, .pt2, OpenVINO.",
    ),
]
ImageSize = Annotated[
    int | None,
    Parameter(
        group=HelpGroup.BASICS,
        validator=Number(gte=1),
        help="Longest side that the model sees, pixels; rounded up to a multiple of 32 (unset: that of the training).",
    ),
]
Square = Annotated[
    bool, Parameter(group=HelpGroup.DETECTIONS, help="Pad to squares instead of the smallest rectangles.")
]
Batch = Annotated[
    int,
    Parameter(group=HelpGroup.BASICS, validator=Number(gte=1), help="Images at once."),
]
Device = Annotated[str, Parameter(group=HelpGroup.BASICS, help="auto, cpu, cuda, mps, or a GPU such as 0.")]
Confidence = Annotated[
    float,
    Parameter(
        group=HelpGroup.DETECTIONS, validator=Number(gte=0, lt=1), help="Lowest score of a detection, from 0 to 1."
    ),
]
Overlap = Annotated[
    float,
    Parameter(
        group=HelpGroup.DETECTIONS,
        validator=Number(gt=0, lte=1),
        help="IoU from which a detection repeats a better one.",
    ),
]
Quiet = Annotated[bool, Parameter(negative=(), group=HelpGroup.OUTPUT, help="Print errors only.")]
MostDetections = Annotated[
    int, Parameter(group=HelpGroup.DETECTIONS, validator=Number(gte=1), help="Most detections per image.")
]
Tile = Annotated[
    int | None,
    Parameter(
        group=HelpGroup.DETECTIONS,
        validator=Number(gte=MIN_TILE, lte=MAX_TILE),
        help="Cut images into tiles of this side, image pixels; each is scaled to --imgsz, and detections are merged.",
    ),
]
TileOverlap = Annotated[
    float,
    Parameter(
        group=HelpGroup.DETECTIONS,
        validator=Number(gte=0, lte=MAX_OVERLAP),
        help="Least overlap of neighbouring tiles, as a share; at least as wide as the objects.",
    ),
]
Tta = Annotated[
    bool,
    Parameter(
        group=HelpGroup.DETECTIONS,
        negative=(),
        help="Test-time augmentation at three scales, one mirrored; three times the work.",
    ),
]
Json = Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT, help="Write the results to this JSON file.")]

"""Options of the images, and of their way to the model."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, ON_RESUME, PER_MACHINE, OnResume, Options

MAX_IMGSZ = 8192
MAX_WORKERS, MAX_BATCH = 1024, 65_536
"""Largest image size, pixels: of options, and of weights that are read."""


class DataOptions(Options):
    """Images, and their way to the model."""

    fixed_because = "the batches to come would be others than the run's"

    data: Annotated[str, OnResume("the same, elsewhere"), PER_MACHINE] = "shapes"
    """A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated); FORMAT:SOURCE names the format."""
    imgsz: int | None = Field(None, ge=1, le=MAX_IMGSZ)
    """Image size, pixels: side of the model's square; rounded up to a multiple of 32 (unset: 640, for `shapes` 128)."""
    batch: int | float | Literal["auto"] = 16
    """Images a step; or `auto`, or a share of the device's memory such as 0.7, to have it measured."""
    workers: Annotated[int | None, ON_RESUME, PER_MACHINE] = Field(None, ge=0, le=MAX_WORKERS)
    """Processes that load and augment; 0 loads in the training process (unset: 0 on a CPU, else up to 16)."""
    cache: Annotated[Literal["ram", "encoded", "disk", "none"], ON_RESUME, PER_MACHINE] = "ram"
    """Images in memory, decoded (where they fit) or as files, in a file of decoded ones, or on the disk alone."""
    skip_broken: bool = False
    """Train without the images that are broken, or whose label file is; otherwise they stop the run."""
    skip: Annotated[str | None, OnResume("the same, elsewhere"), PER_MACHINE, ADDED_LATER] = None
    """Images to do without, in all splits: a text file that names one a line, as `lehr data audit` writes it."""
    single_cls: bool = False
    """Treat all classes as one: find objects, whatever they are."""
    difficult: Annotated[Literal["use", "ignore"], ADDED_LATER] = "use"
    """Objects marked as difficult (VOC): `use` trains on them, `ignore` does not; an evaluation never counts them."""
    rect: bool = False
    """Batches of like shape in the smallest rectangle instead of squares; turns mosaic off."""
    tile: Annotated[int | None, ADDED_LATER] = Field(None, ge=32, le=65_536)
    """Train and validate on tiles of this side, pixels of the image, instead of images reduced to --imgsz."""
    overlap: Annotated[float, ADDED_LATER] = Field(0.2, ge=0, le=0.9)
    """Share of a tile that the next one shows again at least; with --tile."""
    image_weights: bool = False
    """Draw images the more often the rarer and the worse detected their classes are."""
    repeat_threshold: Annotated[float, ADDED_LATER] = Field(0.0, ge=0, le=1)
    """Show images of a class in fewer than this share of the images sqrt(this / share) times as often; 0 is off."""
    background_share: Annotated[float | None, ADDED_LATER] = Field(None, ge=0, lt=1)
    """Share of images without objects in an epoch, e.g. 0.1 (unset: as they come)."""
    keep_val: Annotated[str | None, OnResume("the same, elsewhere"), PER_MACHINE, ADDED_LATER] = None
    """An older data set, named as by --data, on whose validation split the run is evaluated too (unset: none)."""
    replay: Annotated[float, ADDED_LATER] = Field(0.0, ge=0, lt=1)
    """Share of each batch that are training images of the --keep-val data, e.g. 0.25; 0 is none."""
    partner_window: Annotated[int | Literal["all"] | None, ADDED_LATER] = None
    """Images of an epoch's windows, out of which mosaics are made (unset: all if decoded images fit, else 1024)."""
    scaled_decoding: Annotated[Literal["auto", "off"], ADDED_LATER] = "auto"
    """Decode fewer pixels of JPEG files far larger than --imgsz where decoded images do not fit; or never."""
    multi_scale: float = Field(0.0, ge=0, lt=1)
    """A new size each step, from 1 - this to 1 + this times imgsz, e.g. 0.5; 0 is off."""
    grid_min: int | None = Field(None, ge=2, le=MAX_IMGSZ // 32)
    """With --grid-max: a new size each step, from this many cells of 32 pixels on."""
    grid_max: int | None = Field(None, ge=2, le=MAX_IMGSZ // 32)
    """With --grid-min: a new size each step, up to this many cells of 32 pixels."""

    @field_validator("batch", mode="before")
    @classmethod
    def _count_or_share(cls, value: Any) -> Any:
        """A count, a share, or `auto`, whose familiar form is -1."""
        number = _number(value)
        if number > MAX_BATCH:
            raise ValueError(f"a count of at most {MAX_BATCH}")
        if number == -1:
            return "auto"
        if number >= 1 and number == int(number):
            return int(number)
        if 0 < number < 1:
            return number
        if value == "auto":
            return value
        raise ValueError("a count greater than or equal to 1, a share of the memory between 0 and 1, or auto")

    @field_validator("partner_window", mode="before")
    @classmethod
    def _window_or_all(cls, value: Any) -> Any:
        """A count of images, or all of them."""
        number = _number(value)
        if value is None or (isinstance(value, str) and value.casefold() == "all"):
            return None if value is None else "all"
        if 1 <= number <= MAX_COUNT and number == int(number):
            return int(number)
        raise ValueError(f"a count of images from 1 to {MAX_COUNT}, or all")


def _number(value: Any) -> float:
    """Return a number, or a text that is one; NaN for anything else."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan

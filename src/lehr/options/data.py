"""Options of the images, and of their way to the model."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, ON_RESUME, PER_MACHINE, OnResume, Options
from lehr.options.help_groups import HelpGroup

MAX_IMGSZ = 8192
MAX_WORKERS, MAX_BATCH = 1024, 65_536
"""Largest image size, pixels: of options, and of weights that are read."""


class DataOptions(Options):
    """Images, and their way to the model."""

    fixed_because = "the batches to come would be others than the run's"
    help_group = HelpGroup.DATA

    data: Annotated[str, OnResume("the same, elsewhere"), PER_MACHINE, HelpGroup.BASICS] = "shapes"
    """A data YAML, a YOLO or VOC folder, or a COCO JSON. `shapes` is a generated data set. FORMAT:SOURCE names the
    format."""
    imgsz: Annotated[int | None, HelpGroup.BASICS] = Field(None, ge=1, le=MAX_IMGSZ)
    """Side of the square that the model sees, pixels; rounded up to a multiple of 32 (unset: 640, for `shapes` 128)."""
    batch: Annotated[int | float | Literal["auto"], HelpGroup.BASICS] = 16
    """Images per step, on all devices together. `auto`, or a share such as 0.7, fits it to the memory."""
    workers: Annotated[int | None, ON_RESUME, PER_MACHINE] = Field(None, ge=0, le=MAX_WORKERS)
    """Processes that load images; 0 loads in the main one (unset: 0 on a CPU, else up to 16)."""
    cache: Annotated[Literal["ram", "encoded", "disk", "none"], ON_RESUME, PER_MACHINE] = "ram"
    """`ram` keeps decoded images in memory if they fit; `encoded` keeps their files; `disk` one decoded file."""
    skip_broken: bool = False
    """Skip broken images and labels instead of stopping."""
    skip: Annotated[str | None, OnResume("the same, elsewhere"), PER_MACHINE, ADDED_LATER, HelpGroup.MORE_DATA] = None
    """Text file of images to skip, in any split, one a line. `lehr data audit --out` writes one."""
    single_cls: bool = False
    """Treat all classes as one."""
    difficult: Annotated[Literal["use", "ignore"], ADDED_LATER, HelpGroup.MORE_DATA] = "use"
    """Train on objects that VOC marks as difficult, or not. They never count in an evaluation."""
    rect: bool = False
    """Rectangular batches of images of similar shape; turns mosaic off."""
    tile: Annotated[int | None, ADDED_LATER] = Field(None, ge=32, le=65_536)
    """Train on tiles of this side, in pixels of the image; otherwise images are scaled to --imgsz."""
    overlap: Annotated[float, ADDED_LATER] = Field(0.2, ge=0, le=0.9)
    """Least overlap of neighbouring tiles, as a share; with --tile."""
    image_weights: Annotated[bool, HelpGroup.BALANCE] = False
    """Show images of rare or badly found classes more often."""
    repeat_threshold: Annotated[float, ADDED_LATER, HelpGroup.BALANCE] = Field(0.0, ge=0, le=1)
    """Repeat images of classes in fewer than this share; they are shown sqrt(this / share) times; 0 is off."""
    background_share: Annotated[float | None, ADDED_LATER, HelpGroup.BALANCE] = Field(None, ge=0, lt=1)
    """Share of images without objects in an epoch, e.g. 0.1 (unset: as they come)."""
    keep_val: Annotated[str | None, OnResume("the same, elsewhere"), PER_MACHINE, ADDED_LATER, HelpGroup.BALANCE] = None
    """Older data set, on which each epoch is evaluated, too (unset: none)."""
    replay: Annotated[float, ADDED_LATER, HelpGroup.BALANCE] = Field(0.0, ge=0, lt=1)
    """Share of each batch drawn from --keep-val, e.g. 0.25; 0 is off."""
    partner_window: Annotated[int | Literal["all"] | None, ADDED_LATER, HelpGroup.MORE_DATA] = None
    """Images among which mosaic partners are drawn, or `all` (unset: all if decoded images fit, else 1024)."""
    scaled_decoding: Annotated[Literal["auto", "off"], ADDED_LATER, HelpGroup.MORE_DATA] = "auto"
    """Decode large JPEG files at a reduced size. `auto`: where decoded images do not fit in memory."""
    multi_scale: float = Field(0.0, ge=0, lt=1)
    """Vary the size per step by up to this share, e.g. 0.5; 0 is off."""
    grid_min: Annotated[int | None, HelpGroup.MORE_DATA] = Field(None, ge=2, le=MAX_IMGSZ // 32)
    """Smallest size per step, in cells of 32 pixels; with --grid-max."""
    grid_max: Annotated[int | None, HelpGroup.MORE_DATA] = Field(None, ge=2, le=MAX_IMGSZ // 32)
    """Largest size per step, in cells of 32 pixels; with --grid-min."""

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
        raise ValueError("a count of at least 1, a share of the memory between 0 and 1, or auto")

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
    """Largest size per step, in cells of 32 pixels; with --grid-min."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan

"""Options of the changes to the training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, Options, Probability
from lehr.options.help_groups import HelpGroup


class AugmentOptions(Options):
    """Changes to the training images."""

    fixed_because = "the images before and after would be drawn in different ways"
    help_group = HelpGroup.AUGMENTATION

    mosaic: Probability = 1.0
    """Probability of a mosaic of four images."""
    close_mosaic: int | None = Field(None, ge=0, le=MAX_COUNT)
    """Last epochs without mosaic, mixup, CutMix, copy-paste (unset: 10, at most 1/3; `shapes` 12, with anchors 18)."""
    mixup: Probability = 0.0
    """Probability of blending in another image."""
    mixup_beta: Annotated[float, ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = Field(32.0, gt=0, le=1e6)
    """Beta parameter of the blend; 32 is near half, 1 uniform."""
    cutmix: Annotated[Probability, ADDED_LATER] = 0.0
    """Probability of pasting a rectangle of another image; its objects come along."""
    copy_paste: Probability = 0.0
    """Probability of pasting objects of another image."""
    degrees: float = Field(0.0, ge=0, le=180)
    """Rotation, up to this many degrees either way."""
    translate: float = Field(0.1, ge=0, le=0.9)
    """Shift, up to this share of the image either way."""
    scale: float = Field(0.5, ge=0, le=0.9)
    """Zoom, by a factor between 1 - this and 1 + this."""
    shear: float = Field(0.0, ge=0, le=45)
    """Shear, up to this many degrees either way."""
    perspective: float = Field(0.0, ge=0, le=0.001)
    """Perspective, as a share of the image per pixel."""
    hsv_h: float = Field(0.015, ge=0, le=1)
    """Hue: a factor between 1 - this and 1 + this; with --hue add, a share of the colour circle."""
    hsv_s: float = Field(0.7, ge=0, le=1)
    """Saturation, up to this share either way."""
    hsv_v: float = Field(0.4, ge=0, le=1)
    """Brightness, up to this share either way."""
    hue: Annotated[Literal["scale", "add"], ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = "scale"
    """Scale the hue, as published, which hardly moves red; or add to it."""
    erasing: Annotated[Probability, ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = 0.0
    """Probability of erasing a rectangle with noise; it covers 2% to 40% of the image."""
    flipud: Probability = 0.0
    """Probability of an upside-down flip."""
    fliplr: Probability = 0.5
    """Probability of a left-right flip."""
    min_box_side: Annotated[float, ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = Field(2.0, ge=0)
    """Drop objects with a side of at most this, pixels."""
    min_visible: Annotated[Probability, ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = 0.1
    """Drop objects of which less than this share remains."""
    max_box_ratio: Annotated[float, ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = Field(100.0, gt=1)
    """Drop objects this many times as long as wide."""
    augmentation: Annotated[tuple[str, ...], ADDED_LATER, HelpGroup.MORE_AUGMENTATION] = ()
    """Augmentation of a package, or package.module:object; =PROBABILITY may follow; may be repeated."""

    @field_validator("augmentation", mode="before")
    @classmethod
    def _requests(cls, value: Any) -> Any:
        """One, a list, or a mapping from names to probabilities."""
        if isinstance(value, Mapping):
            return tuple(f"{name}={probability}" for name, probability in value.items())
        return (value,) if isinstance(value, str) else value

    @classmethod
    def requests_in(cls, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what valid options ask `augmentation` for, in whichever form they do.

        Args:
            options: by flat name, as a file has them.
        """
        value = options.get("augmentation")
        return () if value is None else cls.model_validate({"augmentation": value}).augmentation

    @field_validator("augmentation")
    @classmethod
    def _named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [each.partition("=")[0] for each in value]
        for each in value:
            name, equals, probability = each.partition("=")
            if not name or (equals and not _is_probability(probability)):
                raise ValueError("NAME or NAME=PROBABILITY, a probability between 0 and 1")
            if names.count(name) > 1:
                raise ValueError(f"names, each once; '{name}' is there twice")
        return value


def _is_probability(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False

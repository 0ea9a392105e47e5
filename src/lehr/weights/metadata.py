"""Metadata of a weights file: one typed, bounded description, checked before a model is built of them.

The bounds are those of the options that the values come from, and of `build_model`: whatever a run writes is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from lehr.models.detection import STRIDES
from lehr.models.limits import MAX_CLASSES, MAX_NAME
from lehr.options.data import MAX_IMGSZ
from lehr.options.model import MAX_ANCHORS, MAX_SCALE
from lehr.runtime.invalid_values import describe_fault

FORMAT = "lehr-1"
"""Format that files of weights name."""
LONGEST_NUMBER = 40
"""Characters of a number in the metadata."""
STRUCTURED = ("names", "anchors")
"""Values that stand as JSON in the file; the others are text, or no part of what a model needs."""


def _check_name(value: Any) -> str:
    """Take any text that Python holds, halves of surrogate pairs too, which data sets may bring."""
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ValueError(f"a list of texts of at most {MAX_NAME} characters")
    return value


Name = Annotated[Any, AfterValidator(_check_name)]
Factor = Annotated[float, Field(gt=0, le=MAX_SCALE, allow_inf_nan=False)]
Side = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Level = Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1, max_length=MAX_ANCHORS)]


class WeightsMetadata(BaseModel):
    """Metadata that say which model the weights are of.

    Attributes:
        model: its name, e.g. "yolov8n".
        names: the class names; None if the file does not say, and is good for a start only.
        imgsz: side of the square that it was trained for, pixels; None likewise.
        depth: multiple of the blocks' repeats; None for that of the name.
        width: multiple of the channels; None for that of the name.
        anchors: (levels, anchors per level, 2) width and height, pixels, rounded; None for a family without.
    """

    model_config = ConfigDict(frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=200)]
    names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_CLASSES)] | None = None
    imgsz: Annotated[int, Field(ge=32, le=MAX_IMGSZ)] | None = None
    depth: Factor | None = None
    width: Factor | None = None
    anchors: Annotated[tuple[Level, ...], Field(min_length=len(STRIDES), max_length=len(STRIDES))] | None = None

    @field_validator("imgsz", "depth", "width", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, str) or len(value) > LONGEST_NUMBER:
            raise ValueError("a number")
        return value

    @field_validator("names", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return None if isinstance(value, dict) else value

    @field_validator("anchors", mode="after")
    @classmethod
    def _alike(cls, value: tuple[Any, ...] | None) -> Any:
        if value is not None and len({len(level) for level in value}) > 1:
            raise ValueError("as many for each level")
        return value

    @property
    def anchors_a_level(self) -> int:
        """Anchors a level; the default where the file does not say."""
        return 3 if self.anchors is None else len(self.anchors[0])


def parse_metadata(metadata: Mapping[str, str]) -> WeightsMetadata:
    """Parse the metadata of a weights file.

    Args:
        metadata: text by name, as in the file.

    Raises:
        ValueError: they lack something, or something is no such value or beyond its bounds; with the first such name
            and what it must be.
    """
    given: dict[str, Any] = {name: metadata[name] for name in WeightsMetadata.model_fields if name in metadata}
    for name in STRUCTURED:
        if name in given:
            try:
                given[name] = json.loads(given[name])
            except (ValueError, RecursionError):
                raise ValueError(f"'{name}' is not JSON") from None
    try:
        return WeightsMetadata.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = first["loc"][0]
        raise ValueError(f"'{field}' {describe_fault(first)}") from None

"""Metadata of an exported model: one typed, bounded description, the same in every format, read as a stranger's.

It stands as JSON under the key `lehr`: in ONNX among the properties of the model, in OpenVINO among the runtime
information, in a torch program among its extra files. What is in it decides how images are prepared and detections
named, so it is checked before it is used.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lehr.models.limits import MAX_CLASSES, MAX_NAMES
from lehr.models.scale import STRIDE
from lehr.options.data import MAX_IMGSZ
from lehr.runtime.invalid_values import describe_fault
from lehr.weights.metadata import Name

KEY = "lehr"
"""Name of the JSON in a file."""
FORMAT: Literal[1] = 1
"""Version of the description."""
LICENSE = "Apache-2.0"
"""Licence of the graph that Lehr writes; the weights have that of whoever trained them."""
MAX_BATCH = 4096
"""Images that a graph of a fixed batch may take at once."""
MAX_DETECTIONS = 100_000
"""Detections per image that suppression inside a graph may keep."""
LIMIT = 2 * MAX_NAMES
"""Characters of the JSON."""
SCALE = 1 / 255
"""Factor from the values of an image's pixels, 0 to 255, to those that the network takes."""
PADDING = 114
"""Grey of what is around a letterboxed image, 0 to 255."""

Precision = Literal["float32", "float16", "int8"]
Text = Annotated[str, Field(max_length=200)]


def _check_multiple(side: int) -> int:
    """Take a side that the network can halve five times."""
    if side % STRIDE:
        raise ValueError(f"a multiple of {STRIDE}")
    return side


Side = Annotated[int, Field(ge=STRIDE, le=MAX_IMGSZ), AfterValidator(_check_multiple)]


class Suppression(BaseModel):
    """Non-maximum suppression that a graph does itself.

    Attributes:
        conf: scores must exceed this, 0 to 1.
        iou: overlap with a better detection above which a detection is dropped, 0 to 1.
        max_det: maximum number of detections per image.
        agnostic: whether detections of other classes suppress too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    conf: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.25
    iou: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.7
    max_det: Annotated[int, Field(ge=1, le=MAX_DETECTIONS)] = 300
    agnostic: bool = False


class ExportMetadata(BaseModel):
    """Description of an exported model.

    Attributes:
        format: version of this description.
        variant: the model's name, e.g. "yolov8n".
        names: the class names.
        imgsz: side of the square that it was trained or exported for, pixels.
        size: height and width that the graph takes, pixels; None for any multiples of 32.
        batch: images that the graph takes at once; None for any number.
        strides: pixels a cell of each level.
        channels: order of the colours of its input.
        scale: factor from the values of an image's pixels, 0 to 255, to its input.
        padding: grey of what is around a letterboxed image, 0 to 255.
        nms: the suppression inside; None if boxes and scores of all rows come out.
        precision: in which it computes.
        license: of the graph.
        lehr: version of Lehr that wrote it.
        torch: version of torch that wrote it.
        weights_sha256: digest of the file of weights; empty if they came from no file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    variant: Annotated[str, Field(min_length=1, max_length=200)]
    names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_CLASSES)]
    imgsz: Side
    size: tuple[Side, Side] | None
    batch: Annotated[int, Field(ge=1, le=MAX_BATCH)] | None
    strides: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]
    channels: Literal["RGB"] = "RGB"
    scale: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = SCALE
    padding: Annotated[int, Field(ge=0, le=255)] = PADDING
    nms: Suppression | None = None
    precision: Precision = "float32"
    license: Text = LICENSE
    lehr: Text
    torch: Text
    weights_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""

    @model_validator(mode="after")
    def _bounded(self) -> ExportMetadata:
        if sum(map(len, self.names)) > MAX_NAMES:
            raise ValueError(f"class names of at most {MAX_NAMES} characters together")
        return self

    def to_json(self) -> str:
        """The description as written to a file."""
        return json.dumps(self.model_dump(mode="json"))


def parse_export_metadata(text: str) -> ExportMetadata:
    """Parse the description of an exported model.

    Args:
        text: the JSON under the key `lehr`.

    Raises:
        ValueError: it is not JSON, lacks something, or something is no such value or beyond its bounds; with the first
            such name and what it must be.
    """
    if len(text) > LIMIT:
        raise ValueError(f"they are longer than {LIMIT} characters")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("they are not JSON") from None
    try:
        return ExportMetadata.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or "all"
        raise ValueError(f"'{field}' {describe_fault(first)}") from None

"""The description of an exported model: what is written is read, and what a stranger wrote is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lehr.weights.export_metadata import LIMIT, ExportMetadata, Suppression, parse_export_metadata

WHOLE = ExportMetadata(
    variant="yolov8n",
    names=("cell", "größer\ud800"),
    imgsz=640,
    size=(640, 416),
    batch=None,
    strides=(8, 16, 32),
    nms=Suppression(conf=0.1, max_det=20, agnostic=True),
    precision="int8",
    lehr="0.1.0",
    torch="2.14.1",
    weights_sha256="a" * 64,
)


def test_what_is_written_is_read() -> None:
    assert parse_export_metadata(WHOLE.to_json()) == WHOLE


def test_the_json_has_the_documented_keys() -> None:
    keys = "format variant names imgsz size batch strides channels scale padding nms precision license lehr torch"
    assert list(json.loads(WHOLE.to_json())) == [*keys.split(), "weights_sha256"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"names": []}, "'names' must be"),
        ({"names": [5]}, "a list of texts"),
        ({"names": ["x" * 2000]}, "at most"),
        ({"imgsz": 33}, "'imgsz' must be a multiple of 32"),
        ({"imgsz": 10**9}, "'imgsz' must be at most"),
        ({"size": [640]}, "'size.1' is missing"),
        ({"size": [640, 0]}, "'size.1' must be at least"),
        ({"batch": 0}, "'batch' must be"),
        ({"format": 2}, "'format' must be 1"),
        ({"channels": "BGR"}, "'channels' must be 'RGB'"),
        ({"scale": float("nan")}, "'scale' must be"),
        ({"padding": 300}, "'padding' must be"),
        ({"nms": {"conf": "much"}}, "'nms.conf' must be"),
        ({"nms": {"iou": 0}}, "'nms.iou' must be"),
        ({"precision": "float8"}, "'precision' must be"),
        ({"weights_sha256": "../x"}, "'weights_sha256' must"),
        ({"run": "me"}, "'run' must"),
        ({"strides": [8] * 100}, "'strides' must"),
    ],
)
def test_values_beyond_their_bounds_are_named(change: dict[str, Any], what: str) -> None:
    content = json.loads(WHOLE.to_json()) | change
    with pytest.raises(ValueError) as error:
        parse_export_metadata(json.dumps(content))
    assert what in str(error.value)


def test_a_missing_value_is_named() -> None:
    content = json.loads(WHOLE.to_json())
    del content["names"]
    with pytest.raises(ValueError, match="'names' is missing"):
        parse_export_metadata(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "5", "x" * (LIMIT + 1)])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"they are|must be"):
        parse_export_metadata(text)

"""Weights of strangers: whatever stands in their header, one message names the file, at once and without memory."""

from __future__ import annotations

import json
import os
import resource
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.commands import lehr

from lehr.errors import InputError
from lehr.evaluation.nms import suppress
from lehr.models.build import anchor_head, build_model, tensor_shapes
from lehr.models.limits import MAX_CLASSES, MAX_NAME
from lehr.weights.load import load_model, read_metadata
from lehr.weights.safetensors_file import DamagedTensors, read_header, write_weights
from lehr.weights.tensor_file import read_tensors
from lehr.weights.transfer import take_fitting_weights
from lehr.weights.write import describe_model, encode_weights, save_weights

DEEP = "[" * 100_000
GIGABYTE = 2**20
HOSTILE: dict[str, dict[str, str | None]] = {
    "names that are a number": {"names": "5"},
    "names cut off": {"names": "[x"},
    "names nested deeply": {"names": DEEP},
    "names with a null byte": {"names": "\0"},
    "names of no text": {"names": "[null, 1]"},
    "names that are a table": {"names": '{"0": "a"}'},
    "no class": {"names": "[]"},
    "names of a huge number": {"names": "[" + "9" * 10_000 + "]"},
    "a name without end": {"names": json.dumps(["a" * (MAX_NAME + 1)])},
    "three million names": {"names": json.dumps(["a"] * 3_000_000)},
    "more names than fit": {"names": json.dumps(["a"] * MAX_CLASSES)},
    "names missing": {"names": None},
    "model missing": {"model": None},
    "model of another world": {"model": "resnet50"},
    "model without a name": {"model": ""},
    "model with a long name": {"model": "yolov8n" * 10_000},
    "imgsz missing": {"imgsz": None},
    "imgsz in words": {"imgsz": "abc"},
    "imgsz below 0": {"imgsz": "-64"},
    "imgsz 0": {"imgsz": "0"},
    "imgsz beyond all images": {"imgsz": "100000"},
    "imgsz a huge number": {"imgsz": "9" * 10_000},
    "depth not a number": {"depth": "nan"},
    "depth beyond bounds": {"depth": "300"},
    "depth below 0": {"depth": "-1"},
    "depth as deep as it may be": {"depth": "10"},
    "depth in words": {"depth": "deep"},
    "width infinite": {"width": "inf"},
    "width beyond bounds": {"width": "40"},
    "width as wide as it may be": {"width": "10", "depth": "10"},
    "anchors empty": {"anchors": "[]"},
    "anchors a number": {"anchors": "5"},
    "anchors of words": {"anchors": '[[["a","b"]],[["a","b"]],[["a","b"]]]'},
    "anchors nested deeply": {"anchors": DEEP},
    "anchors without end": {"anchors": json.dumps([[[1, 1]] * 1000] * 3)},
    "anchors of unlike levels": {"anchors": json.dumps([[[1, 1]], [[1, 1]] * 2, [[1, 1]]])},
    "anchors that are none": {"anchors": "[[[NaN, 1]], [[1, 1]], [[1, Infinity]]]"},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of a small model, as a run writes them."""
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(build_model("yolov5n", ("a", "b"), width=0.125), path)
    return path.read_bytes()


def with_header(data: bytes, change: Any) -> bytes:
    """A file whose header has been changed: by a function of the header, or another text."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    text = change if isinstance(change, bytes) else json.dumps(change(header) or header).encode()
    return struct.pack("<Q", len(text)) + text + data[end:]


def refused(path: Path) -> str:
    """The message by which both readers refuse a file: within a second, and without memory for what is not there."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < max(before, GIGABYTE // 2) + GIGABYTE // 4
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message) < 1000
    return message


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_are_one_message(name: str, tmp_path: Path) -> None:
    model, path = build_model("yolov5n", ("a", "b"), width=0.125), tmp_path / "w.safetensors"
    changed = {**describe_model(model), **HOSTILE[name]}
    metadata = {key: value for key, value in changed.items() if value is not None}
    write_weights(encode_weights(model.state_dict(), metadata), path)
    refused(path)


@pytest.mark.parametrize("name", ["names nested deeply", "depth not a number", "width beyond bounds", "anchors empty"])
def test_a_start_from_hostile_weights_is_refused_too(name: str, tmp_path: Path) -> None:
    model, path = build_model("yolov5n", ("a", "b"), width=0.125), tmp_path / "w.safetensors"
    write_weights(encode_weights(model.state_dict(), {**describe_model(model), **HOSTILE[name]}), path)  # type: ignore[dict-item]
    for read in (read_metadata, lambda file: take_fitting_weights(model, file)):
        with pytest.raises(InputError, match="metadata are damaged"):
            read(path)


def test_the_command_ends_with_code_2(tmp_path: Path, whole: bytes) -> None:
    def change(header: dict[str, Any]) -> None:
        header["__metadata__"]["imgsz"] = "abc"

    (tmp_path / "w.safetensors").write_bytes(with_header(whole, change))
    done = lehr("val", "--weights", "w.safetensors", "--data", "shapes", cwd=tmp_path, code=2)
    assert "w.safetensors: its metadata are damaged" in done.stderr and "'imgsz' must be" in done.stderr


def first(header: dict[str, Any]) -> dict[str, Any]:
    """The entry of the first tensor."""
    entry: dict[str, Any] = header[next(name for name in header if name != "__metadata__")]
    return entry


def set_shape(shape: Any) -> Any:
    return lambda header: first(header).update(shape=shape)


@pytest.mark.parametrize(
    "change",
    [
        b"[" * 100_000,
        b"5",
        b'{"__metadata__": 5}',
        b'{"__metadata__": {"format": 5}}',
        b'{"a": 5}',
        b'{"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4], "more": 1}}',
        b"\xff" * 10,
        b"{}",
        set_shape([2**62, 2**62]),
        set_shape([-1]),
        set_shape([True]),
        set_shape("x"),
        set_shape([[1]]),
        set_shape([10**9]),
        set_shape([0, 2**39]),
        set_shape([1] * 9),
        lambda header: first(header).update(dtype="F128"),
        lambda header: first(header).update(dtype=[]),
        lambda header: first(header).update(dtype="I8"),
        lambda header: first(header).update(data_offsets=[0, 10**18]),
        lambda header: first(header).update(data_offsets=[-8, 0]),
        lambda header: first(header).update(data_offsets=[0]),
        lambda header: header.update(twice=first(header)),
        lambda header: {name: value for name, value in header.items() if name == "__metadata__"},
    ],
)
def test_a_header_that_does_not_describe_its_file_is_refused(change: Any, whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(with_header(whole, change))
    with pytest.raises(DamagedTensors):
        read_header(path)
    refused(path)


@pytest.mark.parametrize("length", [0, 1, 2**24 + 1, 2**63, 2**64 - 1])
def test_a_header_of_absurd_length_is_refused(length: int, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", length) + whole[8:])
    refused(tmp_path / "w.safetensors")


def test_a_model_that_the_file_does_not_hold_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = tmp_path / "w.safetensors", build_model("yolov8n", ("a",), width=0.125)
    write_weights(encode_weights(model.state_dict(), {**describe_model(model), "width": "10", "depth": "10"}), path)
    assert "does not fit yolov8n: " in refused(path)  # the model would take 212 GB


def test_a_file_that_is_cut_off_while_it_is_read_is_refused(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(whole)
    header = read_header(path)
    os.truncate(path, len(whole) // 2)  # a mapped file would end the process here
    with pytest.raises(DamagedTensors, match="changed while it was read"):
        read_tensors(path, header, header.tensors)


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_file_is_not_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    assert "no regular file" in refused(path)


def test_a_sparse_file_of_half_a_terabyte_is_refused_at_once(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensor = {"dtype": "F32", "shape": [2**37], "data_offsets": [0, 2**39]}
    metadata = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]
    path.write_bytes(with_header(whole, lambda header: {"__metadata__": metadata, "model.0.conv.weight": tensor}))
    os.truncate(path, 8 + int.from_bytes(path.read_bytes()[:8], "little") + 2**39)
    assert "does not fit yolov5n" in refused(path)
    model = build_model("yolov5n", ("a", "b"), width=0.125)
    assert take_fitting_weights(model, path).taken == 0


def test_what_a_model_takes_is_read_again(tmp_path: Path) -> None:
    names = ("a" * MAX_NAME, "\ud800", "\0", '"\\', "猫")
    path = tmp_path / "w.safetensors"
    save_weights(build_model("yolov5n", names, imgsz=64, width=0.125), path)
    assert load_model(path).names == names
    for refused_names, match in ((("a" * (MAX_NAME + 1),), "at most 1000 characters"), (("a",) * 200_000, "200000")):
        with pytest.raises(InputError, match=match):
            build_model("yolov5n", refused_names, width=0.125)


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_shapes_are_those_of_the_model(name: str) -> None:
    shapes = tensor_shapes(name, ("a", "b"), width=0.125)
    model = build_model(name, ("a", "b"), width=0.125)
    assert shapes == {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert all(value.device.type == "cpu" for value in model.state_dict().values())
    assert torch.isfinite(torch.cat([value.flatten().float() for value in model.state_dict().values()])).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    model, path = build_model("yolov8n", ("a",), width=0.125), tmp_path / "w.safetensors"
    with torch.no_grad():
        next(model.parameters()).view(-1)[3] = value
    save_weights(model, path)
    assert "model.0.conv.weight holds numbers that are not finite" in refused(path)


def test_weights_whose_boxes_overflow_predict_without_an_error(tmp_path: Path) -> None:
    model = build_model("yolov5n", ("a",), imgsz=64, width=0.125)
    with torch.no_grad():
        head = anchor_head(model)
        assert head is not None
        head.anchors.fill_(3e38)
        for layer in head.m:
            assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
            layer.bias.fill_(50.0)
    found = suppress(*model.eval()(torch.zeros(1, 3, 64, 64)).decode())
    assert len(found.boxes) > 0 and found.boxes.isfinite().all()

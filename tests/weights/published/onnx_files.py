"""ONNX files as the published trainers export them, written from models of Lehr's, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lehr.models.anchor_head import AnchorHead
from lehr.models.detection import DetectionModel

EPS = 1e-3


def varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, values: Tensor, *, packed: bool = False) -> bytes:
    """A TensorProto; `packed` puts its numbers into `float_data`."""
    kind = {torch.float32: 1, torch.float16: 10, torch.int64: 7, torch.int8: 3}[values.dtype]
    sides = b"".join(field(1, side) for side in values.shape)
    data = np.ascontiguousarray(values.detach().numpy()).tobytes()
    return sides + field(2, kind) + field(8, name) + field(4 if packed else 9, data)


def node(operator: str, inputs: list[str], output: str, **attributes: int | list[int] | bytes) -> bytes:
    made = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
    for name, value in attributes.items():
        numbers = b"".join(field(8, each) for each in value) if isinstance(value, list) else b""
        single = field(5 if isinstance(value, bytes) else 3, value) if isinstance(value, bytes | int) else b""
        made += field(5, field(1, name) + numbers + single)
    return made


def merged(model: DetectionModel) -> dict[str, Tensor]:
    """Its convolutions with BatchNorm merged into them, as an export has them; without the head's anchors."""
    state, result = model.state_dict(), {}
    for path, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        result[f"{path}.weight"] = state[f"{path}.weight"]
        block = path.removesuffix("conv")
        if module.bias is not None:
            result[f"{path}.bias"] = state[f"{path}.bias"]
        elif f"{block}bn.weight" in state:
            factor = state[f"{block}bn.weight"] / (state[f"{block}bn.running_var"] + EPS).sqrt()
            result[f"{path}.weight"] = state[f"{path}.weight"] * factor[:, None, None, None]
            result[f"{path}.bias"] = state[f"{block}bn.bias"] - state[f"{block}bn.running_mean"] * factor
    return result


def anchor_nodes(head: AnchorHead, side: int) -> list[bytes]:
    """Constants of a head: of each level the cells' places and the anchors, expanded over the cells."""
    nodes = []
    for level, (stride, anchors) in enumerate(zip((8, 16, 32), head.pixel_anchors, strict=True)):
        cells, count = side // stride, len(anchors)
        grid = anchors.view(1, count, 1, 1, 2).expand(1, count, cells, cells, 2)
        places = (torch.arange(cells) + 0.5).view(1, 1, 1, cells, 1).expand(1, count, cells, cells, 2)
        for kind, values in (("grid", places), ("anchors", grid)):
            nodes.append(node("Constant", [], f"/model/{kind}_{level}", value=tensor("", values.contiguous())))
    return nodes


def write_onnx(
    path: Path,
    model: DetectionModel,
    *,
    metadata: Mapping[str, str] | None = None,
    rename: Callable[[str], str] = str,
    half: bool = False,
    packed: bool = False,
    anchors: bool = True,
    settings: Mapping[str, list[int]] | None = None,
    extra: bytes = b"",
) -> Path:
    """Write an export of a model.

    Args:
        path: the file.
        model: of Lehr's.
        metadata: in place of the usual ones.
        rename: gives the names of initializers.
        half: in float16.
        packed: with numbers in `float_data`.
        anchors: with the head's anchors.
        settings: of the first convolution, in place of its own.
        extra: further fields of the graph.
    """
    tensors = merged(model)
    nodes = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            inputs = [rename(f"{name}.{end}") for end in ("weight", "bias") if f"{name}.{end}" in tensors]
            given = {"strides": list(module.stride), "pads": [*module.padding, *module.padding]}
            given |= {"dilations": list(module.dilation), **((settings or {}) if not nodes else {})}
            nodes.append(node("Conv", ["x", *inputs], f"/{name}", group=module.groups, **given))
    head = model.model[-1]
    if anchors and isinstance(head, AnchorHead):
        nodes += anchor_nodes(head, 96)
    nodes.append(node("Constant", [], "/shape", value=tensor("", torch.tensor([1, -1]))))
    kept = {rename(name): value.half() if half else value for name, value in tensors.items()}
    shape = b"".join(field(1, field(1, side)) for side in (1, 3, 96, 96))
    graph = b"".join(field(1, each) for each in nodes) + field(2, "main_graph")
    graph += b"".join(field(5, tensor(name, value, packed=packed)) for name, value in kept.items())
    graph += field(11, field(1, "images") + field(2, field(1, field(1, 1) + field(2, shape)))) + extra
    texts = {"task": "detect", "imgsz": "[96, 96]", "stride": "32", "author": "Ultralytics", "version": "8.4.0"}
    texts |= {"names": repr(dict(enumerate(model.names))), "license": "AGPL-3.0"}
    data = field(1, 8) + field(2, "pytorch") + field(7, graph)
    for key, text in (texts if metadata is None else metadata).items():
        data += field(14, field(1, key) + field(2, text))
    path.write_bytes(data)
    return path

"""ONNX: by torch's exporter, with readable names, and suppression of standard operators.

The operator set is 18 unless another is asked for: torch's exporter is written in it, so nothing has to be converted,
and it runs in ONNX Runtime from 1.14 (2023) on. Nothing that a detector computes has gained by later ones.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lehr.export.graph import capture
from lehr.export.names import BOXES, DECODE, IMAGES, LAYER, SCORES
from lehr.export.options import ExportOptions
from lehr.export.quiet import quiet
from lehr.export.suppression import with_suppression
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import KEY, ExportMetadata

if TYPE_CHECKING:
    import onnx

OUTSIDE = "detector"
"""Name of the detector within the graph that is captured."""
SCOPES = "pkg.torch.onnx.name_scopes"
DIMENSIONS = {
    IMAGES: ("batch", None, "height", "width"),
    BOXES: ("batch", "rows", None),
    SCORES: ("batch", "rows", None),
}


def write_onnx(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    """Write a model as ONNX.

    Args:
        model: in eval mode; not changed.
        path: the file.
        options: of the export.
        metadata: its description, kept among the properties of the file.
    """
    import onnx

    proto = make_onnx(model, options, metadata)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def make_onnx(model: DetectionModel, options: ExportOptions, metadata: ExportMetadata) -> onnx.ModelProto:
    """Return a model as ONNX, for itself or on the way to another format."""

    program = capture(model, options)
    with quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[IMAGES],
            output_names=[BOXES, SCORES],
            opset_version=options.opset,
            verbose=False,
        )
    assert made is not None
    proto = made.model_proto
    _name(proto)
    if metadata.nms is not None:
        proto = with_suppression(proto, metadata.nms, len(metadata.names))
    proto.producer_name, proto.producer_version = "lehr", metadata.lehr
    del proto.metadata_props[:]
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, metadata.to_json()
    return proto


def _name(proto: onnx.ModelProto) -> None:
    """Name nodes and weights by their layers, and dimensions by what they are; take away the rest of what torch notes.

    It notes the lines of code that each node comes from, with the paths of this machine.
    """
    graph = proto.graph
    renamed: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for weight in graph.initializer:
        name = str(weight.name).removeprefix(f"{OUTSIDE}.")
        renamed[str(weight.name)] = weight.name = name
        weight.doc_string = ""
        _forget(weight)
    layer_of: dict[str, str] = {}
    for node in graph.node:
        layer = _layer(node) or layer_of.get(node.input[0] if node.input else "", DECODE)
        layer_of |= dict.fromkeys(node.output, layer)
        name = f"{layer}/{node.op_type}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}.{taken[name]}"
        node.input[:] = [renamed.get(each, each) for each in node.input]
        node.doc_string = ""
        _forget(node)
        entry = node.metadata_props.add()
        entry.key, entry.value = LAYER, layer
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        _forget(value)
        for dimension, meaning in zip(value.type.tensor_type.shape.dim, DIMENSIONS[value.name], strict=True):
            if meaning is not None and not dimension.HasField("dim_value"):
                dimension.dim_param = meaning


def _layer(node: onnx.NodeProto) -> str | None:
    """The layer that a node belongs to, e.g. "model.0.conv"; "decode" after the head; None if torch does not say."""
    noted = next((each.value for each in node.metadata_props if each.key == SCOPES), None)
    if noted is None:
        return None
    scopes: list[str] = ast.literal_eval(noted)
    inner = [scope for scope in scopes if scope.startswith(f"{OUTSIDE}.")]
    return inner[-1].removeprefix(f"{OUTSIDE}.") if inner else DECODE


def _forget(part: Any) -> None:
    """Remove the notes of torch's exporter."""
    del part.metadata_props[:]

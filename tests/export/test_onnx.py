"""ONNX: any batch and size, readable names, nothing of the machine that wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import KEY, parse_export_metadata

if TYPE_CHECKING:
    import onnx

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def proto(onnx_file: Path) -> onnx.ModelProto:
    import onnx

    return onnx.load(onnx_file)


@pytest.mark.parametrize("shape", [(1, 320, 320), (7, 640, 416), (2, 32, 32)])
def test_any_batch_and_size_decodes_as_the_model_does(
    small_model: DetectionModel, onnx_file: Path, shape: tuple[int, int, int]
) -> None:
    batch, height, width = shape
    images = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    got = onnxruntime.InferenceSession(onnx_file, options).run(["boxes", "scores"], {"images": images.numpy()})
    with torch.no_grad():
        wanted = small_model(images).decode()
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-3)


def test_dimensions_nodes_and_weights_have_the_names_of_what_they_are(proto: onnx.ModelProto) -> None:
    images, boxes = proto.graph.input[0], proto.graph.output[0]
    assert [each.dim_param for each in images.type.tensor_type.shape.dim] == ["batch", "", "height", "width"]
    assert [each.dim_param or each.dim_value for each in boxes.type.tensor_type.shape.dim] == ["batch", "rows", 4]
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names)
    assert {"model.0.conv/Conv", "model.2.cv1.act/Split", "model.22.cv3.0.2/Conv", "decode/Softmax"} <= set(names)
    assert "model.0.conv.weight" in {weight.name for weight in proto.graph.initializer}


def test_batch_norm_is_folded_and_operators_are_standard_of_opset_18(proto: onnx.ModelProto) -> None:
    assert {(each.domain, each.version) for each in proto.opset_import} == {("", 18)}
    assert {node.domain for node in proto.graph.node} == {""}
    assert "BatchNormalization" not in {node.op_type for node in proto.graph.node}


def test_the_description_is_within_and_no_path_of_the_machine(onnx_file: Path, proto: onnx.ModelProto) -> None:
    found = {entry.key: entry.value for entry in proto.metadata_props}
    description = parse_export_metadata(found[KEY])
    assert (description.names, description.size, description.batch) == (("one", "two"), None, None)
    content = onnx_file.read_bytes()
    assert b".py" not in content and str(Path.cwd()).encode() not in content

"""What OpenVINO and torch compute is what the model does, at any batch and size."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.export.export import export_model
from lehr.export.formats import OPENVINO, TORCH
from lehr.export.options import ExportOptions
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import KEY, parse_export_metadata

SHAPES = [(1, 160, 160), (3, 320, 224)]


def _images(shape: tuple[int, int, int]) -> Tensor:
    batch, height, width = shape
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


def _decoded(model: DetectionModel, images: Tensor) -> list[NDArray[np.float32]]:
    with torch.no_grad():
        return [each.numpy() for each in model(images).decode()]


@pytest.fixture(scope="module")
def program_file(small_model: DetectionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "model.pt2"
    export_model(small_model, path, TORCH, ExportOptions((64, 64), dynamic=True))
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_a_torch_program_takes_any_batch_and_size(
    small_model: DetectionModel, program_file: Path, shape: tuple[int, int, int]
) -> None:
    program = torch.export.load(program_file).module()
    with torch.no_grad():
        got = program(_images(shape))
    for one, other in zip(got, _decoded(small_model, _images(shape)), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-4, atol=1e-3)


def test_a_torch_program_holds_its_description_and_no_example(program_file: Path) -> None:
    extra = {KEY: ""}
    assert torch.export.load(program_file, extra_files=extra).example_inputs is None
    assert parse_export_metadata(extra[KEY]).size is None
    with zipfile.ZipFile(program_file) as archive:
        sizes = [each.file_size for each in archive.infolist() if "sample_inputs" in each.filename]
    assert sum(sizes) < 2000


@pytest.fixture
def from_shared_onnx(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO is written from the ONNX export that is there, which takes most of the time."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("openvino")
    monkeypatch.setattr("lehr.export.openvino.make_onnx", lambda *_: onnx.load(onnx_file))


def _by_openvino(folder: Path, images: Tensor) -> list[NDArray[np.float32]]:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(folder / "model.xml", "CPU", settings)
    answers = compiled(images.numpy())
    return [answers[place] for place in range(2)]


@pytest.mark.usefixtures("from_shared_onnx")
def test_openvino_takes_any_batch_and_size(small_model: DetectionModel, tmp_path: Path) -> None:
    import openvino

    folder = tmp_path / "model_openvino"
    metadata = export_model(small_model, folder, OPENVINO, ExportOptions((64, 64), dynamic=True))
    for shape in SHAPES:
        wanted = _decoded(small_model, _images(shape))
        for one, other in zip(_by_openvino(folder, _images(shape)), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)
    kept = openvino.Core().read_model(folder / "model.xml").get_rt_info(KEY).astype(str)
    assert parse_export_metadata(kept) == metadata


@pytest.mark.usefixtures("from_shared_onnx")
def test_openvino_in_float16_takes_half_the_room(small_model: DetectionModel, tmp_path: Path) -> None:
    sizes = []
    for half in (False, True):
        folder = tmp_path / f"{half}_openvino"
        export_model(small_model, folder, OPENVINO, ExportOptions((64, 64), half=half))
        sizes.append((folder / "model.bin").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    wanted = _decoded(small_model, _images(SHAPES[0]))
    for one, other in zip(_by_openvino(folder, _images(SHAPES[0])), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=1)


@pytest.mark.usefixtures("from_shared_onnx")
def test_openvino_in_int8_has_quantized_layers_and_a_decoding_in_float(
    small_model: DetectionModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nncf")
    import openvino

    batches = partial(iter, [_images((1, 64, 64)).numpy()] * 2)
    folder = tmp_path / "model_openvino"
    options = ExportOptions((64, 64), dynamic=True, int8=True, calibration=batches)
    assert export_model(small_model, folder, OPENVINO, options).precision == "int8"
    assert capfd.readouterr() == ("", "")
    operations = openvino.Core().read_model(folder / "model.xml").get_ordered_ops()
    fed = {
        each.get_friendly_name().split("/")[0]
        for each in operations
        if any(source.get_node().get_type_name() == "FakeQuantize" for source in each.input_values())
    }
    assert "model.0.conv" in fed and "decode" not in fed
    wanted = _decoded(small_model, _images(SHAPES[0]))
    for one, other in zip(_by_openvino(folder, _images(SHAPES[0])), wanted, strict=True):
        assert np.median(np.abs(one - other)) < 2

"""An export appears whole and proven or not at all, and says what its format cannot do before anything is computed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from lehr.errors import InputError, LehrError
from lehr.export.calibration import calibration_batches
from lehr.export.export import export_model
from lehr.export.formats import COREML, EXECUTORCH, FORMATS, OPENVINO, TORCH, ExportFormat, find_format
from lehr.export.options import ExportOptions, graph_size
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import ExportMetadata, Suppression


def _write(model: DetectionModel, path: Path, options: ExportOptions, metadata: ExportMetadata) -> None:
    (path / "inner" if path.is_dir() else path).write_text(metadata.to_json())


FILE = ExportFormat("own", "Own", ".own", False, "own", (), _write)
FOLDER = ExportFormat("own", "Own", "_own", True, "own", (), _write)
OPTIONS = ExportOptions((64, 32), batch=3)


def test_it_carries_a_description_and_the_digest_of_its_weights(small_model: DetectionModel, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"numbers")
    path = tmp_path / "model.own"
    metadata = export_model(small_model, path, FILE, OPTIONS, weights=tmp_path / "weights")
    assert path.read_text() == metadata.to_json()
    assert (metadata.size, metadata.batch, metadata.imgsz) == ((64, 32), 3, 64)
    assert metadata.weights_sha256 == hashlib.sha256(b"numbers").hexdigest()


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_it_is_proven_under_another_name_before_it_has_its_own(
    small_model: DetectionModel, tmp_path: Path, kind: ExportFormat
) -> None:
    path, seen = tmp_path / f"model{kind.suffix}", []

    def prove(written: Path, metadata: ExportMetadata) -> None:
        seen.append((written.name, written.exists(), path.exists(), metadata.variant))

    export_model(small_model, path, kind, OPTIONS, prove=prove)
    assert seen == [(path.name, True, False, "yolov8n")]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_nothing_is_left_of_one_that_is_not_proven(
    small_model: DetectionModel, tmp_path: Path, kind: ExportFormat
) -> None:
    def fail(written: Path, metadata: ExportMetadata) -> None:
        raise LehrError("It computes something else.")

    with pytest.raises(LehrError, match="something else"):
        export_model(small_model, tmp_path / f"model{kind.suffix}", kind, OPTIONS, prove=fail)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_lost(small_model: DetectionModel, tmp_path: Path) -> None:
    path = tmp_path / "model.own"
    path.write_text("dear")
    with pytest.raises(InputError, match="exists already"):
        export_model(small_model, path, FILE, OPTIONS)
    assert path.read_text() == "dear"


@pytest.mark.parametrize(
    ("name", "message"), [("model.onnx", "end with .own"), ("none/model.own", "there is no folder")]
)
def test_a_name_that_cannot_be_is_refused(small_model: DetectionModel, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        export_model(small_model, tmp_path / name, FILE, OPTIONS)


def test_a_missing_package_is_named_with_what_installs_it(small_model: DetectionModel, tmp_path: Path) -> None:
    kind = ExportFormat("own", "Own", ".own", False, "own", ("no_such_package",), _write)
    with pytest.raises(InputError, match=r"no_such_package is not installed.*pip install '\.\[own\]'"):
        export_model(small_model, tmp_path / "model.own", kind, OPTIONS)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TORCH, ExportOptions((64, 64), nms=Suppression()), "--nms: not possible in .* onnx, openvino"),
        (TORCH, ExportOptions((64, 64), int8=True), "--int8: not possible in .* openvino"),
        (EXECUTORCH, ExportOptions((64, 64), dynamic=True), "--dynamic: not possible in ExecuTorch"),
        (COREML, ExportOptions((64, 64), dynamic=True), "--dynamic: not possible in Core ML"),
        (EXECUTORCH, ExportOptions((64, 64), half=True), "--half: not possible in ExecuTorch"),
        (OPENVINO, ExportOptions((64, 64), half=True, int8=True), "Give one of them"),
        (OPENVINO, ExportOptions((64, 64), int8=True), "needs images .* --data"),
        (OPENVINO, ExportOptions((64, 64), opset=17), "18 to 23"),
        (OPENVINO, ExportOptions((64, 64), batch=10**6), "1 to 4096 images"),
    ],
)
def test_what_a_format_cannot_do_is_said(kind: ExportFormat, options: ExportOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options.check(kind)


def test_formats_are_found_by_name() -> None:
    assert all(find_format(name).name == name for name in FORMATS)
    with pytest.raises(InputError, match="Did you mean openvino"):
        find_format("openvin")


def test_sizes_are_of_whole_strides() -> None:
    assert graph_size(None, 320) == (320, 320)
    assert graph_size(300, 320) == (320, 320)
    assert graph_size((640, 400), 320) == (640, 416)
    for wrong in (0, (1, 2, 3), (10**9, 32), ()):
        with pytest.raises(InputError, match="must be a side"):
            graph_size(wrong, 320)


def test_calibration_takes_letterboxed_images_and_repeats_the_last_where_a_batch_lacks_some(tmp_path: Path) -> None:
    from lehr.data.images import write_image

    paths = [tmp_path / f"{shade}.png" for shade in (0, 128, 255)]
    for path in paths:
        write_image(path, np.full((20, 40, 3), int(path.stem), np.uint8))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    batches = list(calibration_batches([paths[0], broken, *paths[1:]], (64, 64), 2))
    assert [batch.shape for batch in batches] == [(2, 3, 64, 64)] * 2
    assert [float(image[0, 32, 32]) for batch in batches for image in batch] == pytest.approx([0, 128 / 255, 1, 1])
    assert float(batches[0][0, 0, 0, 0]) == pytest.approx(114 / 255)

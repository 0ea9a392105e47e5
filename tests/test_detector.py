"""From Python: train, evaluate, predict, with the names of the shell."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lehr
from lehr import Detector
from lehr.data.images import read_image
from lehr.errors import InputError, LehrError
from lehr.models.build import build_model
from lehr.weights.write import save_weights
from tests.conftest import MakeYolo


def test_a_detector_trains_evaluates_and_predicts(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    detector = Detector("yolov8n")
    with pytest.raises(LehrError, match="knows nothing yet"):
        detector.predict(np.zeros((8, 8, 3), np.uint8))
    result = detector.train(data=str(data), epochs=1, imgsz=64, batch=4, device="cpu", project=tmp_path / "runs")
    assert detector.names == ("small", "large") and result.best.is_file()

    evaluation = detector.val(str(data))
    assert evaluation.metrics.images == 4

    image = data.parent / "images" / "val" / "0.jpg"
    again = Detector.load(result.best, device="cpu")
    by_file, by_pixels = again.predict([image, read_image(image)], conf=0.0001)
    np.testing.assert_allclose(by_file.boxes, by_pixels.boxes, atol=1e-3)
    assert by_file.source == str(image) and len(by_file) == len(list(by_file))
    converted = by_file.to_supervision()
    np.testing.assert_allclose(converted.xyxy, by_file.boxes)
    assert list(converted.data["class_name"]) == [each.name for each in by_file]


def test_wrong_pixels_and_names_are_refused(make_yolo: MakeYolo, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="yolov8n"):
        Detector("yolov8")
    detector = Detector("yolov8n")
    with pytest.raises(InputError, match=r"epochz.*epochs"):
        detector.train(epochz=1)


def test_training_goes_on_at_the_scale_of_the_weights_and_on_one_class(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = str(make_yolo())
    small = {"epochs": 1, "imgsz": 64, "batch": 4, "device": "cpu", "project": tmp_path / "runs"}
    Detector("yolov3-spp").train(data=data, width=0.125, depth=0.33, single_cls=True, name="first", **small)
    again = Detector.load(tmp_path / "runs" / "first" / "best.safetensors", device="cpu")
    again.train(data=data, single_cls=True, name="second", **small)
    log = (tmp_path / "runs" / "second" / "train.log").read_text()
    total = len(again.model.state_dict())
    assert f"{total} of {total} tensors start from" in log and "with the anchors of the weights" in log
    assert again.names == ("object",)
    assert again.val(data, single_cls=True).metrics.instances == 4
    with pytest.raises(InputError, match=r"It has small, large(.|\n)*single_cls=True"):
        again.val(data)


def test_a_detector_is_made_from_a_file_of_weights(make_yolo: MakeYolo, tmp_path: Path) -> None:
    small = {"epochs": 1, "imgsz": 64, "batch": 4, "width": 0.125, "depth": 0.33, "project": tmp_path / "runs"}
    trained = Detector("yolov5n")
    best = trained.train(data=str(make_yolo()), device="cpu", **small).best
    pixels = np.full((64, 64, 3), 90, np.uint8)
    wanted = trained.predict(pixels, conf=0.001)[0]
    for detector in (Detector(best, device="cpu"), Detector(str(best), "cpu"), Detector.load(best, "cpu")):
        assert detector.device.type == "cpu" and detector.model.variant == "yolov5n"
        np.testing.assert_array_equal(detector.predict(pixels, conf=0.001)[0].boxes, wanted.boxes)
    with pytest.raises(InputError, match='device="nowhere": not a device'):
        Detector(best, device="nowhere")
    other = best.rename(best.with_name("best"))
    assert Detector.load(other, device="cpu").names == ("small", "large")


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    """Weights that have learned nothing."""
    save_weights(build_model("yolov8n", ("small", "large"), 64, width=0.125), tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("yolov9n", "there is no model 'yolov9n'. Did you mean"),
        ("none.safetensors", "none.safetensors: there is no such weights file"),
        ("runs/train/best", "best: there is no such weights file"),
        (Path("best"), "best: there is no such weights file"),
        ("yolov8n.pt", "yolov8n.pt: there is no such file, and Lehr downloads none. Give a file"),
        ("a/yolov5s.PTH", "yolov5s.PTH: there is no such file, and Lehr downloads none"),
        ("last.ckpt", "last.ckpt: there is no such weights file"),
    ],
)
def test_a_missing_file_is_told_from_an_unknown_model(given: str | Path, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Detector(given)
    assert words in str(caught.value)


def test_every_exported_name_is_the_one_of_its_module() -> None:
    for name in lehr.__all__:
        value = getattr(lehr, name)
        assert name in dir(lehr) and (name == "__version__" or getattr(sys.modules[value.__module__], name) is value)
    with pytest.raises(AttributeError, match="Detektor"):
        lehr.Detektor  # noqa: B018


def test_names_for_editors_are_those_that_are_loaded() -> None:
    tree = ast.parse(Path(lehr.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imports = {
        alias.name: line.module for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names
    }
    assert imports == lehr._MODULES and {*imports, "__version__"} == set(lehr.__all__)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch 0: must be a whole number of at least 1"),
        ({"batch": 2.5}, "batch 2.5"),
        ({"conf": 25}, "conf 25: must be a number from 0 to below 1"),
        ({"conf": None}, "conf None"),
        ({"conf": float("nan")}, "conf nan"),
        ({"iou": 0}, "iou 0: must be a number above 0"),
        ({"max_det": 0}, "max_det 0"),
        ({"imgsz": [640, 480]}, "imgsz [640, 480]: must be a whole number of at least 1, the longest side"),
        ({"imgsz": 0}, "imgsz 0"),
    ],
)
def test_options_under_which_nothing_is_found_are_refused(
    small_weights: Path, options: dict[str, Any], words: str
) -> None:
    detector = Detector.load(small_weights, device="cpu")
    pixels = np.zeros((64, 64, 3), np.uint8)
    for use in (detector.predict, detector.stream, lambda _, **given: detector.val("none.yaml", **given)):
        with pytest.raises(InputError) as caught:
            use(pixels, **options)
        assert words in str(caught.value)
    good = {"batch": np.int64(2), "conf": np.float32(0.5), "max_det": np.int32(3), "imgsz": np.int64(64)}
    assert len(detector.predict([pixels] * 3, **good)) == 3


def test_paths_indices_and_devices_of_torch_are_taken(small_weights: Path, make_yolo: MakeYolo, tmp_path: Path) -> None:
    yaml = make_yolo()
    for device in (None, torch.device("cpu"), "cpu"):
        assert Detector.load(small_weights, device=device).device.type == "cpu"
    assert Detector.load(small_weights, device="cpu").val(yaml).metrics.instances == 4
    small: dict[str, Any] = {"epochs": 1, "imgsz": 64, "batch": 4, "width": 0.125, "project": tmp_path / "runs"}
    trained = Detector("yolov8n")
    trained.train(data=yaml, device=torch.device("cpu"), verbose=False, **small)  # type: ignore[arg-type]
    assert trained.names == ("small", "large")
    for wrong in (None, 5, b"best.safetensors"):
        with pytest.raises(InputError, match="is not a model"):
            Detector(wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is a Detector already"):
        Detector(trained)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="must be the name of a data YAML"):
        trained.val({"val": "images"})  # type: ignore[arg-type]


def test_prediction_looks_at_the_size_that_is_asked_for(tmp_path: Path) -> None:
    save_weights(build_model("yolov8n", ("disc",), imgsz=64, width=0.125), tmp_path / "a.safetensors")
    detector = Detector.load(tmp_path / "a.safetensors")
    seen: list[tuple[int, ...]] = []
    detector.model.model[0].register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    for imgsz in (None, 96):
        detector.predict(np.zeros((50, 50, 3), np.uint8), imgsz=imgsz)
    assert seen == [(1, 3, 64, 64), (1, 3, 96, 96)]

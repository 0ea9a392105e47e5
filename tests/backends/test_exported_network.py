"""An export is evaluated and predicts as the model that it was made of, in each runtime; files that lie are refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lehr.backends.load import open_export
from lehr.detector import Detector
from lehr.errors import InputError, LehrError
from tests.backends.tiny import NAMES, SIDE, Tiny, write_onnx, write_openvino, write_program
from tests.commands import lehr
from tests.conftest import MakeYolo

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

Write = Callable[..., Path]
WRITERS = {"tiny.onnx": write_onnx, "tiny_openvino": write_openvino, "tiny.pt2": write_program}
each_format = pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=list(WRITERS))


@each_format
def test_it_answers_as_the_model(name: str, write: Write, tmp_path: Path) -> None:
    model = Tiny()
    network = open_export(write(model, tmp_path / name))
    assert network is not None and network.names == NAMES and network.fixed_size == (SIDE, SIDE)
    images = torch.rand(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        for found, wanted in zip(network(images).decode(), model(images).decode(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
        layers = list(network.runtime.layers(images))
        assert [layer.name for layer in layers] == ["model.0", "model.2"]
        torch.testing.assert_close(layers[1].given, model.model[2](layers[1].taken), rtol=0, atol=1e-4)
    assert layers[0].weight is not None and torch.equal(layers[0].weight, model.model[0].weight)


@each_format
def test_a_graph_of_two_images_takes_five(name: str, write: Write, tmp_path: Path) -> None:
    model = Tiny()
    network = open_export(write(model, tmp_path / name, batch=2))
    assert network is not None and network.fixed_batch == 2
    images = torch.rand(5, 3, SIDE, SIDE)
    with torch.inference_mode():
        for found, wanted in zip(network(images).decode(), model(images).decode(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


def test_it_is_evaluated_by_command_and_from_python(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data, export = make_yolo(counts={"train": 1, "val": 5}), write_onnx(Tiny(), tmp_path / "tiny.onnx")
    detector = Detector("yolov8n")
    detector._model, detector._weights = Tiny(), Path("tiny.safetensors")
    wanted = detector.val(data, square=True, conf=0.1).metrics
    assert wanted.map50 is not None
    assert Detector.load(export).val(data, conf=0.1, batch=2).metrics.map50 == pytest.approx(wanted.map50, abs=1e-4)
    out = tmp_path / "val.json"
    lehr("val", "--weights", export, "--data", data, "--conf", "0.1", "--json", out, cwd=tmp_path)
    assert json.loads(out.read_text())["map50"] == pytest.approx(wanted.map50, abs=1e-4)


def test_it_predicts_and_does_not_train(tmp_path: Path) -> None:
    detector = Detector.load(write_onnx(Tiny(), tmp_path / "tiny.onnx"), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (40, 90, 3), np.uint8)
    [found] = detector.predict(image, conf=0.2)
    plain = Detector("yolov8n")
    plain._model = Tiny()
    [wanted] = plain.predict(image, conf=0.2, square=True)
    assert len(found) == len(wanted) > 0
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-3)
    with pytest.raises(LehrError, match="is an export, which evaluates and predicts"):
        detector.train(epochs=1)
    with pytest.raises(InputError, match=r"imgsz=96: .*takes only images of 64 x 64 pixels"):
        detector.predict(image, imgsz=96)


def test_its_padding_and_its_range_are_those_of_its_metadata(tmp_path: Path) -> None:
    network = open_export(write_onnx(Tiny(), tmp_path / "tiny.onnx", padding=0, scale=1.0))
    assert network is not None and network.padding == 0
    images = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        wanted = Tiny()(images * 255).decode()
    torch.testing.assert_close(network(images).decode(), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"names": ("one", "two", "three")}, "none of 3 classes as its metadata say"), ({"batch": 3}, "none of|fails")],
)
def test_metadata_that_lie_about_the_graph_are_found(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    from tests.backends.tiny import metadata, onnx_model

    made = onnx_model(Tiny(), batch=2)
    made.metadata_props[0].value = metadata(**{"batch": 2, **changed}).to_json()
    path = tmp_path / "tiny.onnx"
    path.write_bytes(made.SerializeToString())
    network = open_export(path)
    assert network is not None
    with pytest.raises(InputError, match=message):
        network(torch.rand(2, 3, SIDE, SIDE))


def test_an_onnx_file_of_others_is_none_of_lehr_s(tmp_path: Path) -> None:
    from tests.backends.tiny import onnx_model

    made = onnx_model(Tiny())
    del made.metadata_props[:]
    (tmp_path / "other.onnx").write_bytes(made.SerializeToString())
    assert open_export(tmp_path / "other.onnx") is None and open_export(tmp_path / "none.onnx") is None
    (tmp_path / "cut.onnx").write_bytes(made.SerializeToString()[:-9])
    assert open_export(tmp_path / "cut.onnx") is None


def changed_program(path: Path, change: Callable[[dict[str, Any]], None], **replaced: bytes) -> Path:
    """A copy of a program with something else in its graph, or in its parts."""
    hostile = path.with_name("hostile.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(hostile, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("models/model.json"):
                graph = json.loads(data)
                change(graph)
                data = json.dumps(graph).encode()
            target.writestr(name, replaced.get(Path(name).name.replace(".", "_"), data))
        for name, data in replaced.items():
            if "/" in name:
                target.writestr(name, data)
    return hostile


def _first_node(graph: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = graph["graph_module"]["graph"]["nodes"][0]
    return node


def test_nothing_in_a_program_runs(tmp_path: Path) -> None:
    """Pickles, guards and notes in it are not looked at; operators and sizes that are on no list end the reading."""
    path, mark = write_program(Tiny(), tmp_path / "tiny.pt2"), tmp_path / "ran"
    pickled = b"cposix\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    guard = f"__import__('os').system('touch {mark}')"
    taken = changed_program(path, lambda graph: graph.update(guards_code=[guard]), model_pt=pickled)
    network = open_export(taken)
    assert network is not None and network(torch.rand(1, 3, SIDE, SIDE)).scores.shape == (1, 4, 2) and not mark.exists()

    def with_size(graph: dict[str, Any]) -> None:
        sizes = graph["graph_module"]["graph"]["tensor_values"]["images"]["sizes"]
        sizes[0] = {"as_expr": {"expr_str": guard, "hint": {"as_int": 2}}}

    hostile: list[tuple[Callable[[dict[str, Any]], None], str]] = [
        (lambda graph: _first_node(graph).update(target="torch.ops.aten.from_file.default"), "aten.from_file.default"),
        (lambda graph: _first_node(graph).update(target="torch.hub.load"), "torch.hub.load"),
        (with_size, "symbolic size"),
        (lambda graph: _first_node(graph)["inputs"].append({"arg": {"as_custom_obj": {}}}), "'as_custom_obj'"),
        (lambda graph: graph.pop("graph_module"), "not as torch.export writes it"),
    ]
    for change, message in hostile:
        with pytest.raises(InputError, match=message):
            open_export(changed_program(path, change))
    weights = json.dumps({"config": {"a": {"path_name": "weight_0", "use_pickle": True}}}).encode()
    with pytest.raises(InputError, match="pickled tensors"):
        open_export(changed_program(path, lambda graph: None, model_weights_config_json=weights))
    assert not mark.exists()


def test_long_sizes_are_refused_at_once(tmp_path: Path) -> None:
    path = write_program(Tiny(), tmp_path / "tiny.pt2")

    def with_size(graph: dict[str, Any]) -> None:
        graph["graph_module"]["graph"]["tensor_values"]["images"]["sizes"][0] = {"expr_str": "1" * 19_000 + "!"}

    with pytest.raises(InputError, match="symbolic size"):
        open_export(changed_program(path, with_size))


def test_formats_that_are_computed_elsewhere_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.pte").write_bytes(b"x")
    with pytest.raises(InputError, match="ExecuTorch program, which is computed on phones"):
        Detector.load(tmp_path / "a.pte")

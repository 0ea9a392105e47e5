"""What users of Python meet first: names, unknown keywords, errors in Python's words, short texts of results."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lehr
from lehr import Detector, Metrics, TrainResult
from lehr.errors import InputError, LehrError, UnknownOption
from lehr.evaluation.evaluator import Evaluation, Seconds
from lehr.evaluation.metrics import ClassMetrics
from lehr.models.build import build_model
from lehr.options.python_spelling import in_python
from lehr.prediction.options import PredictOptions
from lehr.runtime.spelling import shell_spelling
from lehr.weights.write import save_weights
from tests.conftest import MakeYolo

PIXELS = np.full((48, 64, 3), 90, np.uint8)
CLASS = ClassMetrics(0.5, 0.75, 0.5, 0.75, 0.8, 0.7, 0.746, 4)
NUMBERS: dict[str, Any] = {
    **{each.name: 0.5 for each in dataclasses.fields(Metrics)},
    "max_det": 300,
    "images": 1,
    "instances": 4,
    "classes": {"<cat>": CLASS},
}
METRICS = Metrics(**NUMBERS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, with weights that have learned nothing."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    folder.mkdir()
    torch.manual_seed(0)
    save_weights(build_model("yolov8n", ("small", "large"), 64, width=0.125), folder / "best.safetensors")
    return folder


@pytest.fixture
def detector(run: Path) -> Detector:
    return Detector(run, device="cpu")


def test_the_names_of_the_package_are_listed_and_nothing_else() -> None:
    assert [name for name in dir(lehr) if not name.startswith("__")] == sorted(set(lehr.__all__) - {"__version__"})


def test_a_detector_is_made_from_a_run_a_file_and_a_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run / "best.safetensors"
    monkeypatch.chdir(run.parent)
    for given in (run, str(run), "first", file, str(file)):
        made = Detector(given, device="cpu")
        assert made.names == ("small", "large") and made.weights is not None and made.weights.samefile(file)
    assert repr(Detector("YOLOv8N")) == "Detector(yolov8n, untrained)" and Detector("yolov8n").weights is None
    with pytest.raises(InputError, match=r"yolov8n\.pt: there is no such file, and Lehr downloads none"):
        Detector("yolov8n.pt")
    with pytest.raises(InputError, match=r"width: .* has its own"):
        Detector(run, width=0.5)


def test_a_detector_says_what_it_is(detector: Detector, run: Path) -> None:
    assert repr(detector) == f"Detector(yolov8n, 2 classes: small, large; imgsz 64; cpu; {run / 'best.safetensors'})"
    assert detector.imgsz == 64 and detector.to("cpu") is detector and detector.device.type == "cpu"
    with pytest.raises(InputError, match='device="nowhere": not a device'):
        detector.to("nowhere")


def test_calling_a_detector_predicts_and_results_can_be_drawn(detector: Detector, tmp_path: Path) -> None:
    (found,) = detector(PIXELS, conf=0.0001, max_det=3)
    assert found == detector.predict(PIXELS, conf=0.0001, max_det=3)[0] and len(found) == 3
    assert found.image is not None and (found.plot() != PIXELS).any()
    found.save(tmp_path / "found.png")
    (by_file,) = detector(tmp_path / "found.png", conf=0.0001, max_det=3)
    assert by_file.image is None and by_file.plot().shape == PIXELS.shape
    (streamed,) = detector.stream(iter([PIXELS]))
    assert streamed.image is PIXELS or np.array_equal(streamed.image, PIXELS)
    (listed,) = detector(iter([PIXELS]))
    assert listed.image is None  # a list of all that a generator gives would hold every image


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("predict", {"device": "0"}, "detector.to(...)"),
        ("predict", {"stream": True}, "Detector.stream"),
        ("predict", {"save": True}, "result.save(path)"),
        ("predict", {"verbose": False}, "nothing is printed"),
        ("predict", {"confidence": 0.5}, "has no option 'confidence': use `conf`"),
        ("predict", {"imgzs": 64}, "Did you mean imgsz?"),
        ("stream", {"agnostic_nms": True}, "Detector.stream() has no option 'agnostic_nms': use `agnostic`"),
        ("val", {"augment": True}, "Detector.val() has no option 'augment': use `tta`"),
        ("val", {"max_dets": 9}, "Did you mean max_det"),
        ("train", {"epoch": 3}, "Detector.train() has no option 'epoch'. Did you mean epochs"),
        ("train", {"batch_size": 3}, "Detector.train() has no option 'batch_size': it is batch."),
        ("export", {"simplify": True}, "exports are always simplified"),
    ],
)
def test_an_unknown_keyword_is_answered(detector: Detector, method: str, given: dict[str, Any], words: str) -> None:
    inputs = {"predict": (PIXELS,), "stream": (PIXELS,), "val": ("shapes",)}
    with pytest.raises(UnknownOption) as caught:
        getattr(detector, method)(*inputs.get(method, ()), **given)
    assert words in str(caught.value) and isinstance(caught.value, TypeError) and "--" not in str(caught.value)


def test_an_unknown_keyword_of_the_constructor_is_answered() -> None:
    with pytest.raises(TypeError, match="Did you mean width"):
        Detector("yolov8n", widht=0.125)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Lehr detects boxes only"):
        Detector("yolov8n", task="detect")  # type: ignore[call-arg]


def test_errors_spell_options_as_the_user_does(detector: Detector, make_yolo: MakeYolo) -> None:
    with pytest.raises(InputError, match=r"^optimizer is 'sdg'; it must be"):
        detector.train(optimizer="sdg")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r'data="none\.yaml": does not exist'):
        detector.val("none.yaml")
    with pytest.raises(InputError, match="skip_broken=True"):
        list(detector.stream(_broken(make_yolo)))
    with shell_spelling(), pytest.raises(InputError, match=r"--data none\.yaml: does not exist"):
        detector.val("none.yaml")


def _broken(make_yolo: MakeYolo) -> Path:
    image = make_yolo().parent / "images" / "val" / "0.jpg"
    image.write_bytes(image.read_bytes()[:200])
    return image


@pytest.mark.parametrize(
    ("shell", "python"),
    [
        ("--imgsz 640: leave it out.", "imgsz=640: leave it out."),
        ("Use --device cpu.", 'Use device="cpu".'),
        ("add --skip-broken, or --no-sync-bn", "add skip_broken=True, or sync_bn=False"),
        ("--grid-min and --grid-max belong together", "grid_min and grid_max belong together"),
        (
            "Divide it: lehr data split A --out B. Then --epochs 3.",
            "Divide it: lehr data split A --out B. Then epochs=3.",
        ),
        ("See `lehr val --help`; --tile 640", "See `lehr val --help`; tile=640"),
        ("more --epochs, or --amp off", 'more epochs, or amp="off"'),
        ("a - b -- c", "a - b -- c"),
    ],
)
def test_options_in_messages_become_keywords(shell: str, python: str) -> None:
    assert in_python(shell) == python


def test_attributes_of_other_libraries_are_answered(detector: Detector) -> None:
    evaluation = Evaluation(METRICS, Seconds(0.001, 0.002, 0.003))
    for value, name, words in (
        (detector, "tune", "lehr evolve"),
        (evaluation, "box", "use `metrics`"),
        (evaluation, "map50", "use `metrics.map50`"),
        (METRICS, "maps", "of each class"),
    ):
        with pytest.raises(AttributeError, match=words):
            getattr(value, name)
        assert not hasattr(value, "nonsense")


def test_results_are_short_texts_and_tables() -> None:
    text = "mAP50-95 0.500, mAP50 0.500, P 0.500, R 0.500 on 1 image, 4 objects"
    assert repr(METRICS) == f"Metrics({text})"
    evaluation = Evaluation(METRICS, Seconds(0.001, 0.002, 0.003))
    assert repr(evaluation) == f"Evaluation({text}; 6.0 ms per image)"
    result = TrainResult(Path("runs/train"), METRICS, Path("b"), Path("l"), best_epoch=7)
    assert repr(result) == f"TrainResult(runs/train; best epoch 7: {text})" and result.best_weights == Path("b")
    assert "no epoch better than the start" in repr(dataclasses.replace(result, best_epoch=None))
    for each in (METRICS, evaluation, result):
        page = each._repr_html_()
        assert (
            page.count("<tr>") == 3
            and "&lt;cat&gt;" in page
            and set(re.findall(r"[^-]color:([^;\"]+)", page)) == {"inherit"}
        )
    empty = dataclasses.replace(METRICS, instances=0, images=2)
    assert repr(empty) == "Metrics(no objects in 2 images)"


def test_options_of_prediction_are_one_value_validated_once() -> None:
    options = PredictOptions(classes=iter(["cat", 1]))
    assert options.classes == ("cat", 1)
    with pytest.raises(InputError, match="conf 25: must be a number from 0 to below 1"):
        PredictOptions(conf=25)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.conf = 0.5  # type: ignore[misc]


def test_an_untrained_detector_has_no_data_to_evaluate_on(detector: Detector) -> None:
    with pytest.raises(InputError, match="data None: must be the name of a data YAML"):
        detector.val()
    with pytest.raises(LehrError, match="knows nothing yet"):
        Detector("yolov8n").predict(PIXELS)

"""What editors and type checkers know of `Detector`, from outside of the package."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lehr import Detector
from lehr.cli.app import run
from lehr.config import build_config
from lehr.detector.keywords import PREDICT_DEFAULTS
from lehr.errors import InputError, LehrError
from lehr.options import option_names
from lehr.prediction.keywords import PredictKeywords
from lehr.train_options import TrainOptions
from tests.conftest import MakeYolo

ROOT = Path(__file__).parents[1]

OUTSIDE = """
from pathlib import Path
from lehr import Detector

detector = Detector("yolov8n")
result = detector.train(data="shapes", epochs=3, batch="auto", optimizer="SGD", freeze=[0, 1], verbose=False)
reveal_type(result.metrics.map50)
detector.train(epochs="ten")
detector.train(epoch=3)
detector.train(optimizer="sdg")
boxes = detector.predict("photo.jpg", conf=0.5)[0].boxes
detector.predict("photo.jpg", confidence=0.5)
detector.val("shapes", split="dev")
Detector("yolov8n", widht=0.125)
detector.train(data=Path("data.yaml"), width=0.125)
some = detector(["a.jpg"], classes=["cat"])[0]
reveal_type(some[0].name)
some[1:].conf
for each in detector.stream("a.mp4", half=True, stream=True): ...
"""


def test_the_typed_options_are_those_of_the_shell() -> None:
    command = [sys.executable, str(ROOT / "tools" / "train_options.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(TrainOptions.__annotations__) == {*option_names(), "hyp"}


def test_a_type_checker_knows_each_option_from_outside(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(OUTSIDE)
    # With the cache that the checks of the project have left, if they have, it takes a second and not twenty.
    known = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", *known, "outside.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [int(line.split(":")[1]) for line in errors] == [8, 9, 10, 12, 13, 14, 18, 19], done.stdout
    words = ("epochs", "epoch", "optimizer", "confidence", "split", "widht", "conf", "stream")
    for word, line in zip(words, errors, strict=True):
        assert word in line
    revealed = [line for line in done.stdout.splitlines() if "Revealed type is" in line]
    assert "float" in revealed[0] and "str" in revealed[1]


@pytest.mark.parametrize(
    ("call", "names"),
    [
        ("train", {*TrainOptions.__annotations__, "resume", "callbacks", "verbose"}),
        ("predict", {"source", *PredictKeywords.__annotations__}),
        ("stream", {"source", *PredictKeywords.__annotations__}),
        ("val", set(inspect.signature(Detector.val).parameters) - {"self"}),
        ("export", set(inspect.signature(Detector.export).parameters) - {"self"}),
    ],
)
def test_an_editor_completes_every_option(call: str, names: set[str]) -> None:
    jedi = pytest.importorskip("jedi")
    script = jedi.Script(
        f"from lehr import Detector\ndetector = Detector('yolov8n')\ndetector.{call}(",
        project=jedi.Project(ROOT, added_sys_path=[str(ROOT / "src")]),
    )
    assert names <= {each.name.removesuffix("=") for each in script.complete()}


def test_help_shows_every_option() -> None:
    assert set(TrainOptions.__annotations__) < set(inspect.signature(Detector.train).parameters)
    shown = inspect.signature(Detector.predict).parameters
    assert {name: shown[name].default for name in PredictKeywords.__annotations__} == PREDICT_DEFAULTS
    assert inspect.signature(Detector.stream).parameters == shown


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"optimizer": "sgd"}, "optimizer", "SGD"),
        ({"optimizer": "ADAMW"}, "optimizer", "AdamW"),
        ({"cache": "RAM"}, "cache", "ram"),
        ({"model": "YOLOv8s"}, "model", "yolov8s"),
        ({"lr-schedule": "Cosine"}, "lr_schedule", "cosine"),
        ({"batch": "AUTO"}, "batch", "auto"),
        ({"amp": "BF16"}, "amp", "bf16"),
    ],
)
def test_names_are_matched_without_regard_to_case(given: dict[str, str], name: str, value: str) -> None:
    assert build_config(given).flat()[name] == value


def test_a_detector_of_no_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean yolov8n"):
        Detector("YOLOv8nn")


def test_what_is_no_name_at_all_is_still_refused() -> None:
    with pytest.raises(InputError, match=r"--optimizer is 'sdg'; it must be 'auto', 'SGD'"):
        build_config({"optimizer": "sdg"})


def test_case_does_not_matter_in_the_shell_and_in_files(
    make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(yaml.safe_dump({"cache": "None", "warmup": "Linear"}))
    given = ["--data", str(make_yolo()), "--optimizer", "nadam", "--model", "YOLOV5N", "--config", str(file)]
    assert run(["schedule", *given]) == 0
    assert "NAdam" in capsys.readouterr().out
    assert run(["anchors", "--data", given[1], "--model", "YOLOv5N", "--imgsz", "64"]) == 0
    assert "yolov5n on" in capsys.readouterr().out


def test_a_detector_is_named_in_any_case() -> None:
    with pytest.raises(LehrError, match="This yolov8n knows nothing yet"):
        _ = Detector("YOLOv8N").model

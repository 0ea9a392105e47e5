"""What editors and type checkers know of `Detector`, from outside of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lehr import Detector
from lehr.cli.app import run
from lehr.config import build_config
from lehr.errors import InputError, LehrError
from lehr.options import option_names
from lehr.train_options import TrainOptions
from tests.conftest import MakeYolo

ROOT = Path(__file__).parents[1]

OUTSIDE = """
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
    assert [int(line.split(":")[1]) for line in errors] == [7, 8, 9, 11, 12], done.stdout
    for word, line in zip(("epochs", "epoch", "optimizer", "confidence", "split"), errors, strict=True):
        assert word in line
    assert 'Revealed type is "' in done.stdout and "float" in done.stdout


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

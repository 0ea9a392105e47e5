"""`lehr val --compare` says whether weights are better than others, with an interval."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.engine.test_start_from_weights import weights_of


def test_two_equal_weights_are_no_different(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data, weights = make_yolo(counts={"train": 2, "val": 12}), weights_of(tmp_path, "yolov8n")
    done = lehr("val", "--weights", weights, "--data", data, "--compare", weights, "--json", "m.json", cwd=tmp_path)
    assert f"{weights}: no difference from {weights} at this sample size (0.000 to 0.000)." in done.stdout
    found = json.loads((tmp_path / "m.json").read_text())["compared"]
    assert (found["difference"], found["low"], found["high"], found["images"]) == (0, 0, 0, 12)


def test_weights_of_other_classes_cannot_be_compared(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data, weights = make_yolo(counts={"train": 2, "val": 12}), weights_of(tmp_path, "yolov8n")
    (tmp_path / "other").mkdir()
    other = weights_of(tmp_path / "other", "yolov8n", ("small",))
    done = lehr("val", "--weights", weights, "--data", data, "--compare", other, cwd=tmp_path, code=2)
    assert "other images or other objects" in done.stderr

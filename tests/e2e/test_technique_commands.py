"""`lehr schedule`, `lehr anchors`, `lehr train --explain` and `--hyp`, as a user runs them."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import pytest
import yaml
from tests.commands import lehr
from tests.conftest import MakeYolo

SMALL = ["--imgsz", "64", "--batch", "4", "--device", "cpu", "--width", "0.125"]


def test_the_schedule_of_a_run_as_csv_and_picture(tmp_path: Path) -> None:
    done = lehr("schedule", "--epochs", "5", "--csv", "r.csv", "--plot", "r.png", cwd=tmp_path)
    rows = list(csv.DictReader((tmp_path / "r.csv").open()))
    assert list(rows[0]) == ["step", "epoch", "lr_weights", "lr_norms", "lr_biases", "momentum", "accumulate"]
    assert len(rows) == 5 * 30 and float(rows[0]["lr_weights"]) == 0 and rows[-1]["epoch"] == "5"
    picture = cv2.imread(str(tmp_path / "r.png"))
    assert picture is not None and picture.std() > 5
    assert "AdamW" in done.stdout and "150 steps" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_schedule_needs_neither_data_nor_torch(tmp_path: Path) -> None:
    arguments = ["--data", "nowhere.yaml", "--images", "1000", "--classes", "7", "--epochs", "10"]
    done = lehr("schedule", *arguments, "--csv", "r.csv", cwd=tmp_path)
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 1 + 10 * 63
    assert "lr0 0.000909" in done.stdout  # 0.01 / (4 + 7)
    lehr("schedule", "--data", "nowhere.yaml", cwd=tmp_path, code=2)
    code = "import sys; sys.argv = ['lehr', 'schedule']\nfrom lehr.cli.app import main\ntry: main()\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "False"


def test_several_settings_in_one_picture(tmp_path: Path) -> None:
    others = ["--compare", "lr-schedule=cosine lrf=0.1", "--compare", "warmup=none"]
    done = lehr("schedule", "--epochs", "20", *others, "--plot", "r.svg", cwd=tmp_path)
    assert "lr-schedule=cosine lrf=0.1: 20 epochs" in done.stdout
    text = "".join(ET.parse(tmp_path / "r.svg").getroot().itertext())
    assert "svg" in ET.parse(tmp_path / "r.svg").getroot().tag and text is not None
    assert (tmp_path / "r.svg").stat().st_size > 10_000
    wrong = lehr("schedule", "--compare", "lr-shedule=cosine", cwd=tmp_path, code=2)
    assert "Did you mean lr_schedule" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "2", "--warmup-epochs", "3"], ["longer than the run", "--epochs", "--warmup none"]),
        (["--plot", "r.bmp"], ["r.bmp", ".png", ".svg"]),
        (["--csv", "none/r.csv"], ["none/r.csv", "there is no folder none"]),
        (["--lr-schedule", "cosin"], ["lr-schedule", "cosine"]),
        (["--compare", "linear"], ["option=value"]),
        (["--hyp", "hihg"], ["Did you mean high"]),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_message(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = lehr("schedule", *arguments, cwd=tmp_path, code=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_anchors_before_and_after_with_json_and_picture(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    files = ["--json", "a.json", "--plot", "a.png"]
    done = lehr("anchors", "--data", data, "--model", "yolov5n", "--imgsz", "64", "--fit", *files, cwd=tmp_path)
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["bpr"] == 1.0 and content["anchors"][0][0] == [10, 13]
    assert content["fitted"]["bpr"] == 1.0 and len(content["fitted"]["anchors"]) == 3
    assert content["fitted"]["anchors"] != content["anchors"]
    assert "best possible recall 1.0000" in done.stdout and cv2.imread(str(tmp_path / "a.png")) is not None


def test_the_anchors_of_the_blood_cells(bccd: Path, tmp_path: Path) -> None:
    lehr("anchors", "--data", bccd, "--model", "yolov5n", "--imgsz", "320", "--json", "a.json", cwd=tmp_path)
    content = json.loads((tmp_path / "a.json").read_text())
    assert (round(content["bpr"], 5), round(content["aat"], 4)) == (0.99964, 6.3376)
    assert "fitted" not in content


def test_a_model_without_anchors_is_refused(make_yolo: MakeYolo, tmp_path: Path) -> None:
    done = lehr("anchors", "--data", make_yolo(), "--model", "yolov8n", cwd=tmp_path, code=2)
    assert "yolov8n" in done.stderr and "has no anchors" in done.stderr
    wrong = lehr("anchors", "--data", make_yolo("other"), "--model", "yolov5", cwd=tmp_path, code=2)
    assert "Did you mean yolov5" in wrong.stderr


def test_explaining_trains_nothing(tmp_path: Path) -> None:
    done = lehr("train", "--explain", "--mixup", "0.2", cwd=tmp_path)
    assert "mixup: probability 0.2" in done.stdout and "docs/techniques/mixup.md" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--no-autoanchor"], "AutoAnchor: an object"),
        (["--autoanchor", "off"], "AutoAnchor: an object"),
        (["--autoanchor"], "AutoAnchor: has no effect: the anchors fit 100.0% of the objects unchanged"),
        (["--anchors", "4"], "AutoAnchor: fits anchors, if recall is at most 0.98"),
        ([], "AutoAnchor: has no effect: the anchors fit 100.0% of the objects unchanged"),
        (["--autoanchor=Always"], "AutoAnchor: fits anchors, whenever that is better"),
        (
            ["--weights", "x.safetensors"],
            "AutoAnchor: fits anchors, those of the weights too, if recall is at most 0.98",
        ),
        (["--config", "old.yaml"], "AutoAnchor: an object"),
        (["--hyp", "hyp.yaml"], "AutoAnchor: fits anchors, whenever that is better"),
    ],
)
def test_autoanchor_is_chosen_by_name_or_by_the_familiar_switch(given: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("autoanchor: false\n")
    (tmp_path / "hyp.yaml").write_text("autoanchor: always\n")
    assert said in lehr("train", "--explain", "--model", "yolov5n", *given, cwd=tmp_path).stdout
    wrong = lehr("train", "--explain", "--autoanchor", "maybe", cwd=tmp_path, code=2)
    assert wrong.stderr.count("--autoanchor is 'maybe'; it must be auto, always or off.") == 1


def test_a_run_with_a_hyperparameter_file_and_one_from_its_configuration(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    (tmp_path / "hyp.mine.yaml").write_text("lr0: 0.002\nmosaic: 0.5\niou_t: 0.2\nwarmup_momentum: 0.5\n")
    arguments = ["--data", data, "--model", "yolov5n", *SMALL, "--epochs", "1"]
    done = lehr("train", *arguments, "--hyp", "hyp.mine.yaml", "--mosaic", "0.25", "--name", "a", cwd=tmp_path)
    assert "SGD, lr0 0.002" in done.stdout and "iou_t has no effect" in done.stdout
    config = yaml.safe_load((tmp_path / "runs" / "a" / "config.yaml").read_text())
    assert (config["lr0"], config["mosaic"], config["warmup_momentum"]) == (0.002, 0.25, 0.5)
    lehr("train", "--config", "runs/a/config.yaml", "--name", "b", cwd=tmp_path)
    one, two = (list(csv.DictReader((tmp_path / "runs" / n / "results.csv").open())) for n in "ab")
    assert one[0]["train/box"] == two[0]["train/box"]
    again = ["--config", "runs/a/config.yaml", "--hyp", "high", "--name", "c"]
    lehr("train", *again, cwd=tmp_path)  # a preset given with a configuration wins over it
    changed = yaml.safe_load((tmp_path / "runs" / "c" / "config.yaml").read_text())
    assert (changed["mixup"], changed["lr0"], changed["epochs"]) == (0.1, 0.01, 1)


def test_an_unknown_hyperparameter_stops_the_run_before_it_starts(make_yolo: MakeYolo, tmp_path: Path) -> None:
    (tmp_path / "hyp.mine.yaml").write_text("lr0: 0.002\nfl_gama: 0.5\n")
    done = lehr("train", "--data", make_yolo(), "--hyp", "hyp.mine.yaml", cwd=tmp_path, code=2)
    assert "hyp.mine.yaml:2" in done.stderr and "Did you mean fl_gamma" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_weights_with_anchors_are_used_everywhere(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    lehr("train", "--data", data, "--model", "yolov5n", *SMALL, "--epochs", "1", "--name", "a", cwd=tmp_path)
    weights = tmp_path / "runs" / "a" / "best.safetensors"
    lehr("val", "--weights", weights, "--data", data, "--json", "m.json", cwd=tmp_path)
    image = next((data.parent / "images" / "val").glob("*.jpg"))
    lehr("predict", image, "--weights", weights, "--conf", "0.0001", "--json", "p.json", cwd=tmp_path)
    assert json.loads((tmp_path / "p.json").read_text())[0]["width"] == 64
    done = lehr("anchors", "--data", data, "--weights", weights, "--imgsz", "64", cwd=tmp_path)
    assert "best.safetensors" in done.stdout

"""Arguments as users of other trainers type them, and the answers where they are not understood."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.commands import lehr

from lehr.cli.app import app
from lehr.cli.arguments import as_options
from lehr.errors import InputError


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("train data=x.yaml epochs=3 imgsz=640", "train --data x.yaml --epochs 3 --imgsz 640"),
        ("train x.yaml", "train --data x.yaml"),
        ("train x.yaml epochs=3 --batch 4", "train --data x.yaml --epochs 3 --batch 4"),
        ("train --data x.yaml y.yaml", "train --data x.yaml y.yaml"),
        ("train data=x.yaml model=yolov8n.yaml", "train --data x.yaml --model yolov8n"),
        ("train model=yolov8n.pt", "train --weights yolov8n.pt"),
        ("train model=yolov8n device=0,1 batch=-1", "train --model yolov8n --device 0,1 --batch auto"),
        ("train cache=True rect=False cos_lr=True amp=False", "train --cache ram --no-rect --cos-lr --amp off"),
        ("train --cache True --rect True --amp=False", "train --cache ram --rect --amp off"),
        ("train --cache RAM optimizer=sgd", "train --cache ram --optimizer SGD"),
        ("train resume=True", "train --resume"),
        ("train --resume runs/a epochs=3", "train --resume runs/a --epochs 3"),
        ("train weights=None", "train"),
        (
            "train --lr0 -0.1 --loggers csv tensorboard epochs=2",
            "train --lr0 -0.1 --loggers csv tensorboard --epochs 2",
        ),
        ("train exist_ok=True foo=3", "train --exist-ok=True --foo=3"),
        ("train exist_ok=False save=True plots=True verbose=True fraction=1.0", "train"),
        ("train --exist-ok=False --img 640 --batch-size 16", "train --imgsz 640 --batch 16"),
        ("train --cfg yolov5s.yaml --cache --multi-scale", "train --model yolov5s --cache ram --multi-scale 0.5"),
        ("train --cache disk --nbs 64 --lr 0.1", "train --cache disk --nominal-batch 64 --lr0 0.1"),
        ("train --resume True", "train --resume"),
        ("train --model=yolov8n.yaml", "train --model yolov8n"),
        ("predict --source photos --save-txt --conf-thres 0.3", "predict photos --save-labels --conf 0.3"),
        ("export --weights a.pt --imgsz 640 416 --include onnx", "export --weights a.pt --imgsz 640 416 --format onnx"),
        ("train -- a=b", "train -- a=b"),
        ("train", "train"),
        ("train --help", "train --help"),
        ("evolve data=x.yaml trials=3", "evolve --data x.yaml --trials 3"),
        (
            "val model=best.pt data=d.yaml batch_size=4 split=VAL",
            "val --weights best.pt --data d.yaml --batch 4 --split val",
        ),
        (
            "predict model=best.pt source=photos conf=0.3 save=False",
            "predict --weights best.pt photos --conf 0.3 --no-save",
        ),
        ("predict - a.png --weights best.pt", "predict /dev/stdin a.png --weights best.pt"),
        ("predict http://host/a.jpg?size=3 photos", "predict http://host/a.jpg?size=3 photos"),
        ("export model=a.pt imgsz=640,416 half=True", "export --weights a.pt --imgsz 640 416 --half"),
        ("import a.pt b.safetensors", "import a.pt b.safetensors"),
        ("data check x.yaml", "data check x.yaml"),
        ("data", "data"),
        ("--help", "--help"),
        ("frobnicate a=b", "frobnicate a=b"),
    ],
)
def test_habits_become_options(typed: str, written: str) -> None:
    assert as_options(typed.split(), app) == written.split()


def test_a_file_with_a_sign_of_equality_in_its_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf=3").touch()
    assert as_options(["predict", "conf=3", "iou=0.5"], app) == ["predict", "conf=3", "--iou", "0.5"]


@pytest.mark.parametrize("size", ["640,480", "640x480", "[640, 480]", "(480, 640)"])
def test_two_sides_are_refused_with_the_longer(size: str) -> None:
    with pytest.raises(InputError, match=r"is one number, the longest side; .* Give --imgsz 640\."):
        as_options(["val", "--imgsz", size], app)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("val --data shapes", "--weights is required, e.g. --weights runs/train."),
        ("train --epochs", "--epochs needs a value, e.g. --epochs 100."),
        ("train epoch=3", "Unknown option: --epoch. Did you mean --epochs?"),
        ("train --dat y", "Unknown option: --dat. Did you mean --data?"),
        ("train --zzz", "Unknown option: --zzz."),
        ("train x.yaml y", "Not understood: y. Options are written --name VALUE or name=VALUE."),
        ("val --weights x --data y --batch z", "--batch is 'z'; it must be a whole number."),
    ],
)
def test_answers(typed: str, answer: str, tmp_path: Path) -> None:
    command = shlex.split(typed)
    said = lehr(*command, cwd=tmp_path, code=2).stderr
    assert said == f"lehr: {answer}\n      See `lehr {command[0]} --help`.\n"


def test_options_of_another_trainer_are_answered(tmp_path: Path) -> None:
    said = lehr("train", "exist_ok=True", cwd=tmp_path, code=2).stderr
    assert said.startswith("lehr: There is no --exist-ok: a run is never overwritten;")

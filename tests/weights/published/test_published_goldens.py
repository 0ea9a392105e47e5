"""Two checkpoints that the published trainers wrote predict and evaluate as these trainers do.

The figures are those of the published trainers: outputs, detections and metrics, recorded by running them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.detector import Detector
from lehr.errors import InputError
from lehr.models.detection import Prediction
from lehr.weights.load import load_model
from lehr.weights.source import open_weights

GOLDENS = Path(os.environ.get("LEHR_GOLDENS", Path(__file__).parents[4] / "shared/facts/goldens"))
SHARED = GOLDENS.parents[1]
CHECKPOINTS, BCCD = SHARED / "checkpoints", SHARED / "data/bccd"
pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(not CHECKPOINTS.is_dir(), reason="no checkpoints beside the goldens: set LEHR_GOLDENS"),
]
NAMES = ("RBC", "WBC", "Platelets")


def corners(rows: Tensor) -> Tensor:
    """Boxes (n, 4) xyxy of (n, 4) centre, width and height."""
    return torch.cat((rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2), 1)


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n"])
def test_a_forward_pass_gives_the_output_of_the_published_trainer(name: str) -> None:
    golden = np.load(GOLDENS / f"forward_{name}.npz")
    with torch.inference_mode():
        boxes, scores = load_model(CHECKPOINTS / f"{name}-bccd.pt")(torch.tensor(golden["image"])).decode()
    output = torch.tensor(golden["output"])[0]
    rows = output.T if name == "yolov8n" else output
    wanted = rows[:, 4:] if name == "yolov8n" else rows[:, 4:5] * rows[:, 5:]
    torch.testing.assert_close(boxes[0], corners(rows[:, :4]), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(scores[0], wanted, rtol=1e-3, atol=1e-7)


def test_detections_are_those_of_the_published_trainer() -> None:
    golden = json.loads((GOLDENS / "detections_yolov8n.json").read_text())
    images = {path.stem: path for path in BCCD.rglob("*.jpg")}
    found = Detector(CHECKPOINTS / "yolov8n-bccd.pt", device="cpu").predict(
        [images[name] for name in golden["detections"]],
        imgsz=golden["imgsz"],
        square=True,
        conf=golden["conf"],
        iou=golden["iou"],
    )
    for detections, wanted in zip(found, golden["detections"].values(), strict=True):
        ours = detections.as_dict()["detections"]
        assert [each["class"] for each in ours] == [each["cls"] for each in wanted]
        for one, other in zip(ours, wanted, strict=True):
            inside = np.clip(other["xyxy"], 0, (640, 480, 640, 480))  # Lehr's boxes end where the image ends
            assert one["xyxy"] == pytest.approx(inside, abs=0.5)
            assert one["score"] == pytest.approx(other["score"], abs=0.005)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BCCD's validation split with the labels that the published trainers were given: VOC's edges as they stand.

    Lehr reads VOC's first pixel as pixel 1, as VOC defines it, so that its own boxes are a pixel wider.
    """
    folder = tmp_path_factory.mktemp("bccd")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for name in (BCCD / "ImageSets/Main/val.txt").read_text().split():
        (folder / "images" / f"{name}.jpg").symlink_to(BCCD / f"JPEGImages/{name}.jpg")
        root, rows = ElementTree.parse(BCCD / f"Annotations/{name}.xml").getroot(), []
        width, height = (float(root.findtext(f"size/{side}", "")) for side in ("width", "height"))
        for each in root.iter("object"):
            x1, y1, x2, y2 = (float(each.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            if x2 > x1 and y2 > y1:
                box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                rows.append(f"{NAMES.index(each.findtext('name', ''))} {' '.join(map(str, box))}")
        (folder / "labels" / f"{name}.txt").write_text("\n".join(rows))
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images\nval: images\nnames: {list(NAMES)}\n")
    return folder / "data.yaml"


def test_an_evaluation_of_yolov8_gives_the_numbers_of_the_published_trainer(labelled: Path) -> None:
    metrics = Detector(CHECKPOINTS / "yolov8n-bccd.pt", device="cpu").val(labelled, imgsz=320, square=True).metrics
    assert metrics.map50 == pytest.approx(0.758, abs=0.003)
    assert metrics.map == pytest.approx(0.464, abs=0.003)


class Shifted(NamedTuple):
    """A prediction of padded images, in pixels of the images."""

    prediction: Prediction
    left: int

    def decode(self) -> tuple[Tensor, Tensor]:
        boxes, scores = self.prediction.decode()
        return boxes - torch.tensor([self.left, 0, self.left, 0]), scores


@pytest.mark.slow
def test_an_evaluation_of_yolov5_gives_the_numbers_of_the_published_trainer(labelled: Path) -> None:
    """Its trainer evaluates with an IoU of 0.6, and pads rectangles by half a stride: 320 x 240 to 352 x 256 pixels."""
    detector = Detector(CHECKPOINTS / "yolov5n-bccd.pt", device="cpu")
    forward = detector.model.forward
    detector.model.forward = lambda images: Shifted(forward(F.pad(images, (16, 16), value=114 / 255)), 16)  # type: ignore[method-assign]
    metrics = detector.val(labelled, imgsz=320, iou=0.6).metrics
    assert metrics.map50 == pytest.approx(0.568, abs=0.01)
    assert metrics.map == pytest.approx(0.322, abs=0.01)


@pytest.mark.parametrize(("name", "title"), [("yolo11n", "a YOLO11 detector"), ("yolo26n", "a YOLO26 detector")])
def test_families_that_lehr_does_not_have_are_named(name: str, title: str) -> None:
    with pytest.raises(InputError, match=f"{name}-bccd.pt: is {title}, a family that Lehr does not have"):
        open_weights(CHECKPOINTS / f"{name}-bccd.pt")


def test_what_was_read_is_said_in_a_line() -> None:
    note = open_weights(CHECKPOINTS / "yolov8n-bccd.pt").notes
    assert [line.partition(": ")[2] for line in note] == [
        "YOLOv8n, 3 classes, 320 pixels, EMA weights of epoch 39 of 40, read without running anything in it."
    ]

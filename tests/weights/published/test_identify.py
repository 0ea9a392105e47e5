"""Family, scale and kind of a model are found from the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

from lehr.models.build import tensor_shapes
from lehr.models.family import YOLOV3, YOLOV5, YOLOV8, find_family
from lehr.models.scale import Scale
from lehr.weights.published.contents import Contents
from lehr.weights.published.identify import identify
from lehr.weights.published.kinds import unsupported_kind
from lehr.weights.published.stand_in import Refused, StandIn

Shapes = dict[str, tuple[int, ...]]
NAMES = ("a", "b", "c")
MODELS = [*YOLOV8.models, *YOLOV5.models, *YOLOV3.models]


def shapes_of(model: str, **scale: float) -> Shapes:
    shapes = tensor_shapes(model, NAMES, **scale)  # type: ignore[arg-type]
    assert shapes is not None
    return shapes


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_told_from_its_tensors(model: str) -> None:
    found, scale = identify(shapes_of(model)), find_family(model).scale(model)
    assert (found.model, found.depth, found.width, found.scaled) == (model, scale.depth, scale.width, False)
    assert (found.classes, found.anchors) == (3, 3)


@pytest.mark.parametrize(
    ("model", "depth", "width"),
    [
        pytest.param(model, *scale, marks=pytest.mark.slow if scale[0] > 1 and model != "yolov8n" else ())
        for model in ("yolov8n", "yolov8m", "yolov8l", "yolov5s", "yolov3-spp")
        for scale in ((0.5, 0.375), (1.0, 0.1875), (0.2, 0.6), (2.0, 0.5))
    ],
)
def test_other_depths_and_widths_are_found_by_what_they_give(model: str, depth: float, width: float) -> None:
    shapes = shapes_of(model, depth=depth, width=width)
    found = identify(shapes)
    assert shapes_of(found.model, depth=found.depth, width=found.width) == shapes
    stated = identify(shapes, [Scale(depth, width)])
    if stated.scaled:
        assert (stated.depth, stated.width) == (depth, width)


def _renamed(model: str, old: str, new: str) -> Shapes:
    return {new if name == old else name: shape for name, shape in shapes_of(model).items()}


def _edited(model: str, edit: Callable[[Shapes], object]) -> Shapes:
    shapes = shapes_of(model)
    edit(shapes)
    return shapes


OLDER: dict[str, tuple[Shapes, str]] = {
    "YOLOv5 before 6.0": (
        _edited(
            "yolov5s", lambda shapes: shapes.update({"model.0.conv.conv.weight": shapes.pop("model.0.conv.weight")})
        ),
        "before 6.0: its layer 0 slices the image into four",
    ),
    "YOLOv3": (
        _edited(
            "yolov3-spp", lambda shapes: shapes.update({"model.12.conv.weight": shapes.pop("model.12.cv1.conv.weight")})
        ),
        "YOLOv3 without spatial pyramid pooling",
    ),
    "P6": (_edited("yolov5s", lambda shapes: shapes.update({"model.24.anchors": (4, 3, 2)})), "detects on 4 levels"),
    "tiny": (_edited("yolov5s", lambda shapes: shapes.update({"model.24.anchors": (2, 3, 2)})), "as YOLOv3-tiny does"),
    "another head": (
        {re.sub(r"^model\.24\.", "model.26.", name): shape for name, shape in shapes_of("yolov5s").items()},
        "its head is layer 26",
    ),
    "no head": ({"model.0.conv.weight": (16, 3, 3, 3)}, "no head of a detector"),
    "classes without memory": (
        _edited("yolov8n", lambda shapes: shapes.update({"model.22.cv3.0.2.weight": (10**12, 0, 1, 1)})),
        "a head of 1,000,000,000,000 classes",
    ),
}


@pytest.mark.parametrize("case", OLDER)
def test_other_architectures_are_refused_by_their_first_difference(case: str) -> None:
    shapes, message = OLDER[case]
    with pytest.raises(Refused, match=re.escape(message)):
        identify(shapes)


def _with(model: str, names: Shapes) -> Shapes:
    return {**shapes_of(model), **names}


KINDS: dict[str, tuple[Shapes, str]] = {
    "segmentation": (_with("yolov8n", {"model.22.proto.cv1.conv.weight": (64, 64, 3, 3)}), "a segmentation model"),
    "pose": (_with("yolov8n", {"model.22.cv4.0.2.weight": (51, 51, 1, 1)}), "pose estimation"),
    "rotated boxes": (_with("yolov8n", {"model.22.cv4.0.2.weight": (1, 16, 1, 1)}), "rotated boxes"),
    "world": (_with("yolov8n", {"model.22.cv4.0.logit_scale": ()}), "YOLO-World"),
    "classification": (
        {
            "model.0.conv.weight": (16, 3, 3, 3),
            "model.9.conv.conv.weight": (1280, 256, 1, 1),
            "model.9.linear.weight": (9, 1280),
        },
        "a classification model",
    ),
    "RT-DETR": ({"model.28.decoder.layers.0.norm1.weight": (8,), "model.28.enc_output.0.weight": (8, 8)}, "RT-DETR"),
    "YOLO11": ({"model.23.cv3.0.0.0.conv.weight": (8, 1, 3, 3), "model.23.dfl.conv.weight": (1, 16, 1, 1)}, "YOLO11"),
    "YOLO26": ({"model.23.one2one_cv2.0.0.conv.weight": (8, 8, 3, 3)}, "YOLO26"),
    "YOLOv10": (
        {"model.23.one2one_cv2.0.0.conv.weight": (8, 8, 3, 3), "model.23.dfl.conv.weight": (1, 16, 1, 1)},
        "YOLOv10",
    ),
    "YOLOv7": ({"model.105.ia.0.implicit": (1, 256, 1, 1)}, "YOLOv7"),
    "YOLOv5u": (
        {"model.2.cv3.conv.weight": (8, 8, 1, 1), "model.24.cv2.0.0.conv.weight": (8, 8, 3, 3)},
        "YOLOv5u",
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_other_kinds_are_named_from_tensors_alone(case: str) -> None:
    shapes, message = KINDS[case]
    assert message in (unsupported_kind(Contents({}), shapes) or "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ultralytics.nn.modules.head.Segment", "segmentation"),
        ("ultralytics.nn.modules.head.Pose", "pose"),
        ("ultralytics.nn.modules.head.OBB", "rotated"),
        ("ultralytics.nn.modules.head.Classify", "classification"),
        ("ultralytics.nn.modules.head.RTDETRDecoder", "RT-DETR"),
        ("ultralytics.nn.modules.head.WorldDetect", "YOLO-World"),
        ("ultralytics.nn.modules.head.v10Detect", "YOLOv10"),
        ("models.yolo.IDetect", "YOLOv7"),
    ],
)
def test_other_kinds_are_named_from_the_class_of_their_head(name: str, message: str) -> None:
    contents = Contents({}, layers={"model.22": StandIn(name)})
    assert message in (unsupported_kind(contents, shapes_of("yolov8n")) or "")


@pytest.mark.parametrize("model", MODELS)
def test_models_that_lehr_has_are_none_of_these_kinds(model: str) -> None:
    assert unsupported_kind(Contents({"model.0.conv.weight": torch.ones(1)}), shapes_of(model)) is None

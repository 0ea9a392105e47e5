"""Checkpoints that Lehr does not take: which kind of model each is, by its classes and tensors.

The classes of a pickled model say it by name. A bare dictionary of tensors is identified by its names and shapes: what
a family has and no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lehr.weights.published.contents import Contents

TASKS = {
    "segment": "is a segmentation model",
    "segment26": "is a segmentation model",
    "segmentationmodel": "is a segmentation model",
    "isegment": "is a segmentation model",
    "pose": "is a model of keypoints (pose estimation)",
    "pose26": "is a model of keypoints (pose estimation)",
    "posemodel": "is a model of keypoints (pose estimation)",
    "ikeypoint": "is a model of keypoints (pose estimation)",
    "obb": "is a model of rotated boxes (OBB)",
    "obb26": "is a model of rotated boxes (OBB)",
    "obbmodel": "is a model of rotated boxes (OBB)",
    "classify": "is a classification model",
    "classificationmodel": "is a classification model",
    "rtdetrdecoder": "is an RT-DETR model",
    "rtdetrdetectionmodel": "is an RT-DETR model",
    "worlddetect": "is an open-vocabulary model (YOLO-World)",
    "worldmodel": "is an open-vocabulary model (YOLO-World)",
    "yoloedetect": "is an open-vocabulary model (YOLOE)",
    "yoloesegment": "is an open-vocabulary model (YOLOE)",
    "yoloemodel": "is an open-vocabulary model (YOLOE)",
    "yoloesegmodel": "is an open-vocabulary model (YOLOE)",
}
"""Models of other tasks, by the class of the model or its head, in small letters."""
CLASSES = {
    "v10detect": "YOLOv10",
    "idetect": "YOLOv7",
    "iauxdetect": "YOLOv7",
    "ibin": "YOLOv7",
    "repconv": "YOLOv7",
    "ddetect": "YOLOv9",
    "dualddetect": "YOLOv9",
    "tripleddetect": "YOLOv9",
    "repncspelan4": "YOLOv9",
    "elan1": "YOLOv9",
    "scdown": "YOLOv10",
    "a2c2f": "YOLO12",
}
"""Families that Lehr does not have, by a class that one of their layers has and those of no other family."""
SHAPES = Mapping[str, tuple[int, ...]]


def unsupported_kind(contents: Contents, shapes: SHAPES) -> str | None:
    """Say which kind of model a checkpoint holds, where it is one that Lehr knows of but does not have.

    Args:
        contents: what was found.
        shapes: of its tensors by published name.

    Returns:
        Text that follows the file's name, e.g. "is a segmentation model"; None for what may be a detector of Lehr's.
    """
    head = _last_layer(shapes)
    return (
        _by_class(contents)
        or _task_by_tensors(shapes, head)
        or (None if (family := _family_by_tensors(shapes, head)) is None else _not_here(family))
    )


def _not_here(family: str) -> str:
    return f"is a {family} detector, a family that Lehr does not have yet"


def _by_class(contents: Contents) -> str | None:
    names = [model.kind.lower() for model in contents.models]
    names += [layer.kind.lower() for path, layer in contents.layers.items() if path.count(".") == 1]
    task = next((TASKS[name] for name in reversed(names) if name in TASKS), None)
    family = next((CLASSES[name] for name in names if name in CLASSES), None)
    return task or (None if family is None else _not_here(family))


def _last_layer(shapes: SHAPES) -> str:
    """The prefix of the last layer's tensors, e.g. "model.22."."""
    numbers = [int(found[1]) for name in shapes if (found := re.match(r"model\.(\d+)\.", name))]
    return f"model.{max(numbers, default=0)}."


def _task_by_tensors(shapes: SHAPES, head: str) -> str | None:
    own = {name[len(head) :]: shape for name, shape in shapes.items() if name.startswith(head)}

    def has(start: str) -> bool:
        return any(name.startswith(start) for name in own)

    if has("proto."):
        return TASKS["segment"]
    if has("linear.") and has("conv."):
        return TASKS["classify"]
    if has("decoder.") and has("enc_"):
        return TASKS["rtdetrdecoder"]
    if has("reprta.") or has("savpe."):
        return TASKS["yoloedetect"]
    if has("cv4.") and any("logit_scale" in name for name in own):
        return TASKS["worlddetect"]
    if has("cv4."):
        angle = next((shape for name, shape in own.items() if re.fullmatch(r"cv4\.0\.2\.weight", name)), (0,))
        return TASKS["obb"] if angle[0] == 1 else TASKS["pose"]
    return None


def _family_by_tensors(shapes: SHAPES, head: str) -> str | None:
    def any_of(pattern: str) -> bool:
        return any(re.match(pattern, name) for name in shapes)

    depthwise = any_of(re.escape(head) + r"cv3\.0\.0\.0\.")
    signs: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("YOLO26", lambda: any_of(re.escape(head) + "one2one_") and not any_of(re.escape(head) + "dfl")),
        ("YOLOv10", lambda: any_of(re.escape(head) + "one2one_")),
        ("YOLO12", lambda: depthwise and any_of(r"model\.\d+\.m\.\d+\.\d+\.attn\.")),
        ("YOLO11", lambda: depthwise),
        ("YOLOv7", lambda: any_of(re.escape(head) + r"(ia|im)\.\d") or any_of(r"model\.\d+\.rbr_")),
        ("YOLOv9", lambda: any_of(r"model\.\d+\.cv[23]\.0\.(cv1|conv)\.") and not any_of(r"model\.2\.m\.")),
        ("YOLOv5u", lambda: any_of(re.escape(head) + "cv2") and any_of(r"model\.2\.cv3\.")),
        ("YOLOv3u", lambda: any_of(re.escape(head) + "cv2") and any_of(r"model\.4\.\d+\.cv1\.")),
    )
    return next((family for family, holds in signs if holds()), None)

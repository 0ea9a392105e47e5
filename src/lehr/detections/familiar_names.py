"""Attributes that other libraries' results have: what each is called here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_NUMPY = "everything is a NumPy array on the CPU already"
_TASK = "Lehr detects boxes only"
OF_DETECTION = {
    "box": "use `xyxy`",
    "bbox": "use `xyxy`",
    "boxes": "use `xyxy`",
    "cls": "use `class_id`",
    "conf": "use `score`",
    "confidence": "use `score`",
    "id": "use `track_id`",
    "label": "use `name`",
}
OF_DETECTIONS = {
    "class_id": "use `classes`",
    "class_ids": "use `classes`",
    "cls": "use `classes`",
    "conf": "use `scores`",
    "confidence": "use `scores`",
    "cpu": _NUMPY,
    "cuda": _NUMPY,
    "data": "use `boxes`, `scores` and `classes`",
    "df": "use `to_pandas()`",
    "id": "use `track_ids`",
    "json": "use `to_json()`",
    "keypoints": _TASK,
    "labels": "use `classes`, or the `name` of each detection",
    "masks": _TASK,
    "numpy": _NUMPY,
    "obb": _TASK,
    "orig_img": "use `image`",
    "orig_shape": "use `height` and `width`",
    "pandas": "use `to_pandas()`",
    "path": "use `source`",
    "probs": _TASK,
    "render": "use `plot()`",
    "save_crop": "crop `image` by `boxes`, or run `lehr predict --save-crops`",
    "save_txt": "run `lehr predict --save-labels`",
    "speed": "use `Detector.val`, which measures it",
    "summary_dict": "use `as_dict()`",
    "to_df": "use `to_pandas()`",
    "tojson": "use `to_json()`",
    "tolist": "use `to_list()`",
    "tracker_id": "use `track_ids`",
    "verbose": "use `summary()`",
    "xywhn": "divide `xywh` by the width and height of the image",
    "xyxyn": "divide `boxes` by the width and height of the image",
}
OF_BOXES = {
    **dict.fromkeys(("cls", "conf", "id"), "`boxes` is an array; use `classes`, `scores` and `track_ids` next to it"),
    "xyxy": "`boxes` is the array of xyxy itself, one row per object",
    "xywh": "`boxes` is the array of xyxy itself; use `xywh` next to it",
    **dict.fromkeys(("xyxyn", "xywhn"), "`boxes` is an array of pixels; divide it by the size of the image"),
    **dict.fromkeys(("cpu", "cuda", "numpy"), _NUMPY),
}


def missing_attribute(kind: type, name: str, known: Mapping[str, str]) -> AttributeError:
    """Make the error of an attribute that is not there, with what to use instead.

    Args:
        kind: the class.
        name: the attribute.
        known: familiar names of other libraries, and what to use instead of each.
    """
    instead = known.get(name)
    return AttributeError(f"{kind.__name__} has no attribute {name!r}{'' if instead is None else f': {instead}'}.")


class Boxes(np.ndarray[tuple[int, ...], np.dtype[np.float32]]):
    """Boxes (n, 4), an array like any other, which answers `boxes.xyxy` with what to use instead."""

    def __getattr__(self, name: str) -> object:
        raise missing_attribute(type(self), name, OF_BOXES)

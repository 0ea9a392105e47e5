"""Kinds of changes, by name."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.fuzz import painted
from benchmarks.fuzz.bytes_changed import change_file
from benchmarks.fuzz.coco_dialects import change_coco
from benchmarks.fuzz.file_dialects import change_folders, change_image_bytes, change_image_formats
from benchmarks.fuzz.label_dialects import change_labels
from benchmarks.fuzz.painted import PaintedSet
from benchmarks.fuzz.xml_dialects import change_cvat, change_voc
from benchmarks.fuzz.yaml_dialects import change_list, change_yaml

Mutation = Callable[[random.Random], PaintedSet]


def _bytes(choices: tuple[tuple[Callable[[], PaintedSet], str], ...]) -> Mutation:
    def change(rng: random.Random) -> PaintedSet:
        make, pattern = rng.choice(choices)
        return change_file(make(), pattern, rng)

    return change


MUTATIONS: dict[str, Mutation] = {
    "labels": change_labels,
    "bytes of labels": _bytes(((painted.yolo, "labels/*"), (painted.darknet, "obj_*/*.txt"))),
    "data YAML": change_yaml,
    "bytes of data YAML": _bytes(((painted.yolo, "data.yaml"), (painted.yolo_lists, "data.yaml"))),
    "lists": change_list,
    "bytes of lists": _bytes(
        (
            (painted.yolo_lists, "train.txt"),
            (painted.yolo_lists, "val.txt"),
            (painted.darknet, "valid.txt"),
            (painted.darknet, "obj.*"),
            (painted.class_list, "classes.txt"),
            (painted.voc, "ImageSets/*"),
        )
    ),
    "COCO JSON": change_coco,
    "bytes of COCO JSON": _bytes(((painted.coco, "*.json"),)),
    "VOC XML": change_voc,
    "bytes of VOC XML": _bytes(((painted.voc, "Annotations/*"),)),
    "CVAT XML": change_cvat,
    "bytes of CVAT XML": _bytes(((painted.cvat, "annotations.xml"),)),
    "images' formats": change_image_formats,
    "images' bytes": change_image_bytes,
    "folders": change_folders,
}

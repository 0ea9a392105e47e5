"""COCO JSON changed at random: read or refused, never a traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.field.painted_coco import Content, content_of, make

from lehr.data.faults import KINDS
from lehr.data.load import load_dataset
from lehr.errors import InputError

NUMBERS = [0, 1, -1, 2, 1.5, 10**30, 1e308, -1e308, float("nan"), float("inf"), True, False]
TEXTS = ["", "1", "x", "1,2,3,4", "\ud83d", "\0", "../..", "/", "."]
LISTS: list[Any] = [
    [],
    [1],
    [1, 2],
    [[1, 2, 3, 4, 5, 6]],
    [None],
    [1, 2, 3, 4],
    [0.1, 0.2, 0.3, 0.4],
    ["1", "2", "3", "4"],
]
OTHERS: list[Any] = [None, {}, {"a": 1}, {"counts": [1, 2], "size": [3, 1]}, {"counts": "abc", "size": [96, 128]}]
VALUES = [*NUMBERS, *TEXTS, *LISTS, *OTHERS]
KEYS = [
    "id",
    "image_id",
    "category_id",
    "bbox",
    "bbox_mode",
    "iscrowd",
    "ignore",
    "segmentation",
    "attributes",
    "coco_url",
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in a JSON, but the whole of it."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(content: Content, rng: random.Random) -> Content:
    """A JSON with some values replaced, removed, repeated or added."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        *above, key = rng.choice(list(places(content)))
        holder: Any = content
        for step in above:
            holder = holder[step]
        kind = rng.random()
        if kind < 0.7:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
        elif kind < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    return content


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_no_change_of_a_coco_json_ends_in_a_traceback(tmp_path: Path) -> None:
    folder = make(tmp_path)
    path = folder / "annotations" / "instances_train.json"
    content = content_of("train", 3)
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation |= {"segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]], "area": w * h}
    outcomes = {"read": 0, "refused": 0}
    for seed in range(250):
        path.write_text(json.dumps(changed(content, random.Random(seed))))
        try:
            dataset = load_dataset(str(folder))
        except InputError as error:
            assert str(folder) in str(error) and str(error).encode("utf-8")
            outcomes["refused"] += 1
        else:
            assert {fault.kind for fault in dataset.faults} <= KINDS.keys()
            "\n".join(map(str, dataset.faults)).encode("utf-8")  # can be printed
            for sample in (sample for samples in dataset.splits.values() for sample in samples):
                assert (sample.boxes >= 0).all() and (sample.boxes[:, 2:] <= [sample.width, sample.height]).all()
                assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all() and (sample.classes < len(dataset.names)).all()
            outcomes["read"] += 1
    assert min(outcomes.values()) > 50

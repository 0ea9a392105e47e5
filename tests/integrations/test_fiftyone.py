"""FiftyOne: what goes into its database, what comes back, and its exports as `--data`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import MakeYolo

from lehr.data.load import load_dataset
from lehr.detections import Detections
from lehr.errors import InputError, LehrError

needs_fiftyone = pytest.mark.skipif(
    find_spec("fiftyone") is None, reason="fiftyone is not installed; it brings a database and 1 GB"
)


@pytest.fixture
def fiftyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, with its database; data sets of the test are deleted afterwards."""
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    import fiftyone

    yield fiftyone
    for name in fiftyone.list_datasets():
        fiftyone.delete_dataset(name)


def contents(source: Path) -> dict[str, list[Any]]:
    """Boxes and named classes of each image, by split and name."""
    dataset = load_dataset(str(source))
    return {
        split: sorted((s.path.name, s.boxes.round(2).tolist(), [dataset.names[c] for c in s.classes]) for s in samples)
        for split, samples in dataset.splits.items()
    }


@needs_fiftyone
def test_a_data_set_comes_back_as_it_went(fiftyone: Any, make_yolo: MakeYolo, tmp_path: Path) -> None:
    from lehr.integrations.fiftyone import from_fiftyone, to_fiftyone

    data = make_yolo()
    there = to_fiftyone(load_dataset(str(data)), "squares")
    assert there.count_sample_tags() == {"train": 6, "val": 4} and there.count("ground_truth.detections") == 10
    with pytest.raises(InputError, match="has a data set 'squares' already"):
        to_fiftyone(load_dataset(str(data)), "squares")
    assert contents(from_fiftyone(there, tmp_path / "back")) == contents(data)

    sample = there.match_tags("train").first()
    sample.tags.append("validation")
    sample.save()
    with pytest.raises(InputError, match="is tagged train and val"):
        from_fiftyone(there, tmp_path / "again")
    with pytest.raises(InputError, match=r"no field 'labels'; there are .*ground_truth"):
        from_fiftyone(there, tmp_path / "again", "labels")
    assert not (tmp_path / "again").exists()


@needs_fiftyone
def test_detections_are_added_and_evaluated(fiftyone: Any, make_yolo: MakeYolo) -> None:
    from lehr.integrations.fiftyone import add_detections, to_fiftyone

    dataset = load_dataset(str(make_yolo()))
    there = to_fiftyone(dataset)
    found = [
        Detections(str(s.path), s.width, s.height, s.boxes, np.ones(1, np.float32), s.classes, dataset.names)
        for s in dataset.splits["val"]
    ]
    assert add_detections(there, found) == 4 and there.count("predictions.detections") == 4
    results = there.match_tags("val").evaluate_detections("predictions", gt_field="ground_truth", eval_key="eval")
    assert results.metrics()["precision"] == results.metrics()["recall"] == 1.0
    with pytest.raises(InputError, match=r"none\.png: is the image of no sample"):
        add_detections(there, [Detections.missing("none.png", dataset.names, "gone")])


@needs_fiftyone
@pytest.mark.parametrize("kind", ["COCODetectionDataset", "YOLOv5Dataset", "VOCDetectionDataset"])
def test_exports_of_fiftyone_are_read_as_they_are(
    fiftyone: Any, make_yolo: MakeYolo, tmp_path: Path, kind: str
) -> None:
    from lehr.integrations.fiftyone import to_fiftyone

    data = make_yolo()
    there = to_fiftyone(load_dataset(str(data))).match_tags("train")
    there.export(
        str(tmp_path / "out"), dataset_type=getattr(fiftyone.types, kind), label_field="ground_truth", progress=False
    )
    out = contents(tmp_path / "out")
    expected = contents(data)["train"]
    read = sorted((name, boxes, classes) for each in out.values() for name, boxes, classes in each)
    assert [(n, c) for n, _, c in read] == [(n, c) for n, _, c in expected]
    boxes = [np.array([b for _, b, _ in each]) for each in (read, expected)]
    np.testing.assert_allclose(boxes[0], boxes[1], atol=1 if kind.startswith("VOC") else 0.01)


def test_fiftyone_s_coco_layout_is_read_without_the_package(make_yolo: MakeYolo, tmp_path: Path) -> None:
    images = make_yolo().parent / "images" / "train"
    shutil.copytree(images, tmp_path / "out" / "data")
    listed = [
        {"id": i, "file_name": f"{i}.jpg", "width": 64, "height": 64, "license": None, "coco_url": None}
        for i in range(6)
    ]
    objects = [
        {"id": i + 1, "image_id": i, "category_id": i % 2, "bbox": [4.0, 6.0, 16.0, 16.0], "iscrowd": 0}
        for i in range(6)
    ]
    categories = [{"id": i, "name": name, "supercategory": None} for i, name in enumerate(("small", "large"))]
    content = {"info": {}, "licenses": [], "categories": categories, "images": listed, "annotations": objects}
    (tmp_path / "out" / "labels.json").write_text(json.dumps(content))
    dataset = load_dataset(str(tmp_path / "out"))
    assert dataset.names == ("small", "large") and len(dataset.splits["train"]) == 6


@pytest.mark.skipif(find_spec("fiftyone") is not None, reason="fiftyone is installed")
def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    from lehr.integrations.fiftyone import from_fiftyone

    with pytest.raises(LehrError, match=r"pip install '\.\[fiftyone\]'"):
        from_fiftyone(None, tmp_path)

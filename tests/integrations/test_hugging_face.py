"""Data sets of Hugging Face `datasets` become folders that `--data` takes, and the other way round."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.commands import lehr
from tests.conftest import MakeYolo

from lehr.data.check import check_dataset
from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.integrations.hugging_face import from_datasets, load_saved, to_datasets
from lehr.sample import Dataset

datasets = pytest.importorskip("datasets", reason="the extra `datasets` is not installed")
datasets.disable_progress_bars()
NAMES = ["crack", "bubble"]
ONE = {"bbox": [[1.0, 2, 3, 4]], "category": [0]}


def png(width: int = 40, height: int = 30, seed: int = 0) -> bytes:
    """The bytes of a PNG file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def rows(objects: list[Any], **columns: Any) -> Any:
    """A split: an image of 40 x 30 pixels for each entry of objects."""
    table = {"image": [{"bytes": png(seed=i), "path": None} for i in range(len(objects))], "objects": objects}
    return datasets.Dataset.from_dict(table | columns).cast_column("image", datasets.Image())


def cppe(boxes: list[list[list[float]]], classes: list[list[int]]) -> Any:
    """A split in the form of the Hub's detection data sets, with names of the categories."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": {
                "bbox": datasets.List(datasets.List(datasets.Value("float32"), length=4)),
                "category": datasets.List(datasets.ClassLabel(names=NAMES)),
            },
        }
    )
    objects = [{"bbox": box, "category": category} for box, category in zip(boxes, classes, strict=True)]
    images = [{"bytes": png(seed=i), "path": f"x{i}.png"} for i in range(len(boxes))]
    return datasets.Dataset.from_list(
        [{"image": i, "objects": o} for i, o in zip(images, objects, strict=True)], features=features
    )


def contents(dataset: Dataset) -> dict[str, list[Any]]:
    """Size, boxes and named classes of each image, by split; in the images' order."""
    return {
        split: [(s.width, s.height, s.boxes.round(2).tolist(), [dataset.names[c] for c in s.classes]) for s in samples]
        for split, samples in dataset.splits.items()
    }


def test_a_data_set_comes_back_as_it_went(make_yolo: MakeYolo, tmp_path: Path) -> None:
    before = load_dataset(str(make_yolo()))
    there = to_datasets(before)
    assert list(there) == ["train", "validation"] and there["train"].features["objects"]["category"].feature.names
    row = there["train"][0]
    assert row["objects"]["bbox"][0] == [4.0, 6.0, 16.0, 16.0] and row["image"].size == (64, 64)
    back = load_dataset(str(from_datasets(there, tmp_path / "back")))
    assert back.names == before.names and contents(back) == contents(before) and not check_dataset(back)
    paths = [[s.path for s in each.splits["train"]] for each in (before, back)]
    assert [one.read_bytes() for one in paths[0]] == [other.read_bytes() for other in paths[1]], "images are copied"


def test_the_hub_s_form_is_read_with_its_names_and_splits(tmp_path: Path) -> None:
    split = cppe([[[1, 2, 10, 12], [20, 5, 6, 8]], []], [[1, 0], []])
    from_datasets(datasets.DatasetDict({"train": split, "validation": split}), tmp_path / "d")
    dataset = load_dataset(str(tmp_path / "d"))
    assert dataset.names == ("crack", "bubble") and set(dataset.splits) == {"train", "val"}
    first, second = dataset.splits["val"]
    assert first.boxes.tolist() == [[1, 2, 11, 14], [20, 5, 26, 13]] and first.classes.tolist() == [1, 0]
    assert not len(second.classes) and first.path.name == "x0.png"


def test_lists_of_objects_and_text_as_categories_are_read(tmp_path: Path) -> None:
    objects = [
        [{"bbox": [1.0, 2, 5, 6], "label": "owl", "iscrowd": 0}, {"bbox": [3.0, 4, 9, 9], "label": "cat", "iscrowd": 1}]
    ]
    dataset = load_dataset(str(from_datasets(rows(objects), tmp_path / "d")))
    assert dataset.names == ("cat", "owl") and set(dataset.splits) == {"train"}
    (sample,) = dataset.splits["train"]
    assert sample.classes.tolist() == [1] and sample.ignored.crowd.tolist() == [True]


def test_numbers_get_names_where_they_are_given(tmp_path: Path) -> None:
    split = rows([{"bbox": [[1.0, 2, 5, 6]], "category": [1]}])
    assert load_dataset(str(from_datasets(split, tmp_path / "a"))).names == ("0", "1")
    assert load_dataset(str(from_datasets(split, tmp_path / "b", names=NAMES))).names == ("crack", "bubble")
    with pytest.raises(InputError, match=r"a category without a name"):
        from_datasets(split, tmp_path / "c", names=["crack"])
    assert not (tmp_path / "c").exists()


def test_boxes_of_another_form_are_not_taken_quietly(tmp_path: Path) -> None:
    corners = [[x, y, x + 12.0, y + 9.0] for x, y in ((5, 4), (20, 10), (26, 18), (10, 20))]
    dataset = from_datasets(rows([{"bbox": corners, "category": [0] * 4}] * 3), tmp_path / "d")
    try:
        said = [str(fault) for fault in load_dataset(str(dataset)).faults]
    except InputError as error:
        said = [str(error)]
    assert any("corner" in each or "x1" in each or "outside" in each for each in said), said


def stored(content: bytes | None, path: str) -> Any:
    """A split of one image that stands as it is given."""
    split = rows([ONE]).cast_column("image", datasets.Image(decode=False))
    return split.map(lambda row: {"image": {"bytes": content, "path": path}})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda: rows([ONE]).rename_column("image", "photo"), r"no column 'image'.*photo"),
        (lambda: rows([{"bbox": [[1.0, 2, 3, 4]], "score": [1.0]}]), r"'objects' has none of category"),
        (lambda: rows([1]), r"has none of bbox.*has nothing"),
        (lambda: stored(None, "https://example.org/a.png"), r"named by an address, https://example.org/a.png"),
        (lambda: stored(None, "/etc/passwd"), r"/etc/passwd: cannot be decoded"),
        (lambda: stored(None, "/etc/none.png"), r"/etc/none.png: cannot be read"),
        (lambda: stored(b"GIF", "../../x"), r"x: cannot be decoded"),
    ],
    ids=["image", "category", "objects", "address", "other file", "no file", "other bytes"],
)
def test_what_cannot_be_read_is_said_and_nothing_is_left(split: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        from_datasets(split(), tmp_path / "d")
    assert not list(tmp_path.iterdir())


def test_names_of_strangers_stay_in_the_folder(tmp_path: Path) -> None:
    split = cppe([[], [], []], [[], [], []]).cast_column("image", datasets.Image(decode=False))
    names = ["../../../evil.png", "/etc/x.png", "a\nb.png"]
    split = split.map(lambda row, i: {"image": {"bytes": row["image"]["bytes"], "path": names[i]}}, with_indices=True)
    from_datasets(split, tmp_path / "d")
    files = sorted(path.name for path in (tmp_path / "d" / "images" / "train").iterdir())
    assert files == ["000003.png", "evil.png", "x.png"] and sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def test_the_shell_converts_there_and_back(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    lehr("data", "convert", data, "--to", "datasets", "--out", "saved", cwd=tmp_path)
    saved = load_saved(tmp_path / "saved")
    assert (
        saved["train"].num_rows == 6
        and saved["train"].cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"]
    )
    done = lehr("data", "convert", "saved", "--to", "yolo", "--out", "back", cwd=tmp_path)
    assert "train 6, val 4 images in YOLO layout" in done.stdout
    assert contents(load_dataset(str(tmp_path / "back"))) == contents(load_dataset(str(data)))
    (tmp_path / "saved" / "dataset_dict.json").write_text("{")
    failed = lehr("data", "convert", "saved", "--to", "yolo", "--out", "again", cwd=tmp_path, code=2)
    assert "cannot be read by datasets" in failed.stderr

"""Data sets of Hugging Face `datasets`: from them as a folder that `--data` takes, and to them.

Their form for object detection: one row per image, with `image`, and `objects` of `bbox` (x, y, width, height in
pixels) and `category`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError
from lehr.integrations.coco_folder import ForeignImage, split_name, write_coco_folder
from lehr.integrations.packages import require_package
from lehr.runtime.atomic_write import atomic_dir
from lehr.runtime.plain_text import one_line
from lehr.sample import Dataset, Sample

if TYPE_CHECKING:
    import datasets

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Lehr's splits by the names that they have there."""
BOXES = ("bbox", "bboxes", "boxes")
CATEGORIES = ("category", "categories", "category_id", "category_ids", "label", "labels", "class_label", "class_id")
CROWDS = ("iscrowd", "is_crowd")
SAVED = ("dataset_dict.json", "state.json")
"""Files by which a folder of `save_to_disk` is known."""


def is_saved(folder: Path) -> bool:
    """Return whether a folder is one that `datasets` wrote with `save_to_disk`."""
    return any((folder / name).is_file() for name in SAVED)


def to_datasets(dataset: Dataset) -> datasets.DatasetDict:
    """A data set of Lehr as one of `datasets`; images are named by their files until it is saved or pushed.

    Boxes are float32, x, y, width and height in pixels of the image as displayed; ignored regions are not objects.

    Args:
        dataset: what was read; splits become "train", "validation" and "test".

    Raises:
        InputError: two classes have one name, which `datasets` cannot hold.
        LehrError: the extra `datasets` is not installed.
    """
    require_package("datasets", "datasets")
    import datasets

    if len(set(dataset.names)) < len(dataset.names):
        raise InputError(f"{dataset.source}: two classes have one name, which datasets cannot hold. Rename one.")
    number = datasets.Value("int64")
    features = datasets.Features(
        {
            "image_id": number,
            "image": datasets.Image(),
            "width": datasets.Value("int32"),
            "height": datasets.Value("int32"),
            "objects": {
                "id": datasets.List(number),
                "area": datasets.List(datasets.Value("float32")),
                "bbox": datasets.List(datasets.List(datasets.Value("float32"), length=4)),
                "category": datasets.List(datasets.ClassLabel(names=list(dataset.names))),
            },
        }
    )
    return datasets.DatasetDict(
        {
            SPLITS[split]: datasets.Dataset.from_list(list(_rows(samples)), features=features)
            for split, samples in dataset.splits.items()
        }
    )


def save_datasets(dataset: Dataset, folder: Path) -> None:
    """Write a data set for `datasets.load_from_disk`, its images within; it appears whole or not at all.

    Args:
        dataset: what was read.
        folder: where; must not exist or be empty.

    Raises:
        InputError: the folder is taken or cannot be written, or two classes have one name.
        LehrError: the extra `datasets` is not installed.
    """
    made = to_datasets(dataset)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and is not empty. Choose another folder.")
    atomic_dir(folder, lambda temporary: made.save_to_disk(str(temporary)), "Choose another folder.")


def _rows(samples: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    first = 0
    for number, sample in enumerate(samples):
        boxes = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in sample.boxes.astype(float).tolist()]
        yield {
            "image_id": number,
            "image": str(sample.path.absolute()),
            "width": sample.width,
            "height": sample.height,
            "objects": {
                "id": list(range(first, first + len(boxes))),
                "area": [width * height for _, _, width, height in boxes],
                "bbox": boxes,
                "category": sample.classes.tolist(),
            },
        }
        first += len(boxes)


def load_saved(folder: Path) -> datasets.DatasetDict | datasets.Dataset:
    """Load a folder of `save_to_disk`.

    Raises:
        InputError: it cannot be read.
        LehrError: the extra `datasets` is not installed.
    """
    require_package("datasets", "datasets")
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever the library and Arrow raise of a damaged one
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{folder}: cannot be read by datasets ({one_line(lines[0])}). Save it again.") from None


@contextmanager
def unpacked(source: str) -> Iterator[str]:
    """A source of data that Lehr reads: itself, or a folder of `save_to_disk` unpacked for as long as the block lasts.

    Args:
        source: what `--data` may name.

    Raises:
        InputError: such a folder cannot be read.
        LehrError: it is one, and the extra `datasets` is not installed.
    """
    if not is_saved(Path(source)):
        yield source
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield str(from_datasets(load_saved(Path(source)), Path(temporary) / "data"))


def from_datasets(
    source: datasets.DatasetDict | datasets.Dataset,
    folder: str | Path,
    *,
    names: Sequence[str] | None = None,
    image: str = "image",
    objects: str = "objects",
) -> Path:
    """Write a data set of `datasets` as a COCO folder that `--data` takes: image files unchanged, boxes as given.

    Args:
        source: a data set with its splits; or one split, which becomes "train".
        folder: where; must not exist or be empty.
        names: the class names, where the categories have none (unset: theirs).
        image: column of the images.
        objects: column of the objects.

    Returns:
        The folder.

    Raises:
        InputError: a column is missing, an image is none or named by an address, or the folder is taken.
        LehrError: the extra `datasets` is not installed.
    """
    require_package("datasets", "datasets")
    import datasets

    splits = {"train": source} if isinstance(source, datasets.Dataset) else dict(source)
    if not splits:
        raise InputError("The data set has no splits. Give one that has images.")
    by_split: dict[str, list[datasets.Dataset]] = {}
    for name, each in splits.items():
        by_split.setdefault(split_name(name), []).append(each)
    first = next(iter(splits.values()))
    columns = _Columns(first, image, objects)
    known = tuple(names) if names is not None else _class_names(splits.values(), columns)
    numbers = {name: number for number, name in enumerate(known)}

    def images(parts: Sequence[datasets.Dataset]) -> Iterator[ForeignImage]:
        for part in parts:
            for row in part.cast_column(image, datasets.Image(decode=False)):
                yield _foreign(row, columns, numbers, len(known))

    write_coco_folder({split: images(parts) for split, parts in by_split.items()}, known, Path(folder))
    return Path(folder)


class _Columns:
    """Columns of images, boxes and categories.

    Args:
        split: a split.
        image: column of the images.
        objects: column of the objects.

    Raises:
        InputError: one is missing.
    """

    def __init__(self, split: datasets.Dataset, image: str, objects: str) -> None:
        features = split.features
        for name, option in ((image, "image"), (objects, "objects")):
            if name not in features:
                raise InputError(f"There is no column '{name}'; there are {', '.join(features)}. Name it: {option}=...")
        inner = _inner(features[objects])
        self.image, self.objects = image, objects
        self.boxes = self._one(BOXES, inner, objects)
        self.categories = self._one(CATEGORIES, inner, objects)
        self.crowds = next((name for name in CROWDS if name in inner), None)
        self.labels = _leaf(inner[self.categories])

    @staticmethod
    def _one(known: Sequence[str], inner: Mapping[str, Any], objects: str) -> str:
        found = next((name for name in known if name in inner), None)
        if found is None:
            raise InputError(f"'{objects}' has none of {', '.join(known)}; it has {', '.join(inner) or 'nothing'}.")
        return found


def _inner(feature: Any) -> dict[str, Any]:
    """Columns of the objects, which are a list of tables or a table of lists."""
    while not isinstance(feature, dict) and hasattr(feature, "feature"):
        feature = feature.feature
    return feature if isinstance(feature, dict) else {}


def _leaf(feature: Any) -> Any:
    while hasattr(feature, "feature"):
        feature = feature.feature
    return feature


def _class_names(splits: Any, columns: _Columns) -> tuple[str, ...]:
    """Names of the categories; text stands for itself, and a number without names too."""
    if getattr(columns.labels, "names", None):
        return tuple(columns.labels.names)
    values = {
        value
        for split in splits
        for row in split.select_columns([columns.objects])
        for value in _column(row[columns.objects], columns.categories)
    }
    if all(isinstance(value, int) for value in values):
        return tuple(map(str, range(max(values, default=-1) + 1)))
    return tuple(sorted(map(str, values)))


def _column(objects: Any, name: str) -> list[Any]:
    """A column of an image's objects."""
    if isinstance(objects, Mapping):
        return list(objects[name] or [])
    return [each[name] for each in objects or []]


def _foreign(row: Mapping[str, Any], columns: _Columns, numbers: Mapping[str, int], count: int) -> ForeignImage:
    """An image of a row.

    Raises:
        InputError: it has no content, is named by an address, or has a category without a name.
    """
    stored, objects = row[columns.image], row[columns.objects]
    path = str((stored or {}).get("path") or "")
    content = (stored or {}).get("bytes")
    if content is None and (not path or "://" in path):
        where = f"is named by an address, {one_line(path)}" if path else "has neither bytes nor a file"
        raise InputError(f"An image {where}. Nothing is fetched here: load the data set with its images.")
    given = _column(objects, columns.categories)
    classes = [value if isinstance(value, int) else numbers.get(str(value), -1) for value in given]
    if any(not 0 <= each < count for each in classes):
        called = one_line(path) or "An image"
        raise InputError(f"{called}: has a category without a name among {one_line(str(given))[:200]}. Give names=...")
    crowds = [bool(each) for each in _column(objects, columns.crowds)] if columns.crowds else []
    boxes = _column(objects, columns.boxes)
    return ForeignImage(Path(path) if content is None else content, path, boxes, classes, crowds)

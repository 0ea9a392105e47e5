"""FiftyOne: data sets and detections to its app, and what was corrected there back as a folder that `--data` takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.integrations.coco_folder import SPLIT_NAMES, ForeignImage, split_name, write_coco_folder
from lehr.integrations.packages import require_package
from lehr.runtime.plain_text import one_line
from lehr.sample import SPLITS, Dataset, Sample

if TYPE_CHECKING:
    import fiftyone

TRUTH = "ground_truth"
"""Field of the objects that were labelled, as FiftyOne calls it."""


def to_fiftyone(dataset: Dataset, name: str | None = None, *, persistent: bool = False) -> fiftyone.Dataset:
    """A data set of Lehr in FiftyOne's database; images stay where they are, and the split is a tag.

    Difficult objects have the attribute `difficult`; ignored regions that are crowds have `iscrowd`.

    Args:
        dataset: what was read.
        name: what it is called there (unset: a name of FiftyOne's).
        persistent: keep it in the database when this process has ended.

    Raises:
        InputError: there is one of that name.
        LehrError: the extra `fiftyone` is not installed.
    """
    require_package("fiftyone", "fiftyone")
    import fiftyone

    if name is not None and fiftyone.dataset_exists(name):
        raise InputError(f"FiftyOne has a data set '{one_line(name)}' already. Choose another name, or delete it.")
    made = fiftyone.Dataset(name, persistent=persistent)
    made.default_classes = list(dataset.names)
    samples = [
        fiftyone.Sample(
            filepath=str(sample.path.absolute()),
            tags=[split],
            metadata=fiftyone.ImageMetadata(width=sample.width, height=sample.height),
            **{TRUTH: fiftyone.Detections(detections=list(_objects(sample, dataset.names)))},
        )
        for split, each in dataset.splits.items()
        for sample in each
    ]
    made.add_samples(samples, progress=False)
    return made


def _objects(sample: Sample, names: tuple[str, ...]) -> Iterator[fiftyone.Detection]:
    import fiftyone

    size = (sample.width, sample.height)
    difficult = [False] * len(sample.classes) if sample.difficult is None else sample.difficult.tolist()
    for box, class_id, hard in zip(
        sample.boxes.astype(float).tolist(), sample.classes.tolist(), difficult, strict=True
    ):
        marks = {"difficult": True} if hard else {}
        yield fiftyone.Detection(label=names[class_id], bounding_box=_relative(box, size), **marks)
    ignored = sample.ignored
    rows = zip(ignored.boxes.astype(float).tolist(), ignored.classes.tolist(), ignored.crowd.tolist(), strict=True)
    for box, class_id, crowd in rows:
        if crowd:
            yield fiftyone.Detection(label=names[class_id], bounding_box=_relative(box, size), iscrowd=True)


def _relative(box: list[float], size: tuple[int, int]) -> list[float]:
    """A box as left, top, width and height, shares of the image."""
    (x1, y1, x2, y2), (width, height) = box, size
    return [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]


def add_detections(view: Any, found: Iterable[Detections], field: str = "predictions") -> int:
    """Add what a detector found to the samples of a FiftyOne data set or view, by the files of the images.

    Args:
        view: the data set or view.
        found: e.g. of `detector.stream(view.values("filepath"))`.
        field: the samples' field; replaced where it is there.

    Returns:
        The samples that got detections.

    Raises:
        InputError: the image of a result is none of the samples'.
        LehrError: the extra `fiftyone` is not installed.
    """
    require_package("fiftyone", "fiftyone")
    import fiftyone

    ids = dict(zip(view.values("filepath"), view.values("id"), strict=True))
    values: dict[str, Any] = {}
    for each in found:
        path = str(Path(each.source).absolute())
        if path not in ids:
            raise InputError(f"{one_line(each.source)}: is the image of no sample of the view.")
        if each.fault is None:
            values[ids[path]] = fiftyone.Detections(
                detections=[
                    fiftyone.Detection(
                        label=one.name,
                        bounding_box=_relative(list(one.xyxy), (each.width, each.height)),
                        confidence=one.score,
                        index=one.track_id,
                    )
                    for one in each
                ]
            )
    view.set_values(field, values, key_field="id")
    return len(values)


def from_fiftyone(view: Any, folder: str | Path, field: str = TRUTH) -> Path:
    """Write a FiftyOne data set or view as a COCO folder that `--data` takes, with copies of its images.

    Splits are the tags train, val (or validation) and test; samples without one are for training.

    Args:
        view: the data set or view.
        folder: where; must not exist or be empty.
        field: the samples' field of objects.

    Returns:
        The folder.

    Raises:
        InputError: there is no such field, a sample has two splits, an image cannot be read, or the folder is taken.
        LehrError: the extra `fiftyone` is not installed.
    """
    require_package("fiftyone", "fiftyone")
    if not view.has_sample_field(field):
        raise InputError(f"There is no field '{one_line(field)}'; there are {', '.join(view.get_field_schema())}.")
    view.compute_metadata(progress=False)
    names = list(dict.fromkeys([*view.default_classes, *sorted(view.distinct(f"{field}.detections.label"))]))
    images: dict[str, list[ForeignImage]] = {}
    for sample in view.iter_samples():
        images.setdefault(_split_of(sample), []).append(_foreign(sample, field, names))
    write_coco_folder({split: images[split] for split in SPLITS if split in images}, names, Path(folder))
    return Path(folder)


def _split_of(sample: Any) -> str:
    """The split that a sample's tags name.

    Raises:
        InputError: they name two.
    """
    named = {split_name(tag) for tag in sample.tags if tag.lower() in (*SPLITS, *SPLIT_NAMES)}
    if len(named) > 1:
        raise InputError(f"{one_line(sample.filepath)}: is tagged {' and '.join(sorted(named))}. Leave one of them.")
    return named.pop() if named else "train"


def _foreign(sample: Any, field: str, names: list[str]) -> ForeignImage:
    if sample.metadata is None:
        raise InputError(f"{one_line(sample.filepath)}: cannot be read. Remove the sample, or bring the file back.")
    width, height = sample.metadata.width, sample.metadata.height
    objects = [] if sample[field] is None else sample[field].detections
    return ForeignImage(
        Path(sample.filepath),
        sample.filepath,
        [[x * width, y * height, w * width, h * height] for x, y, w, h in (each.bounding_box for each in objects)],
        [names.index(each.label) for each in objects],
        [bool(each.get_attribute_value("iscrowd", False)) for each in objects],
    )

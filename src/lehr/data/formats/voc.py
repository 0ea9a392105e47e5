"""Pascal VOC layout: one XML file an image, splits as lists in `ImageSets` or as folders, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.faults import describe_faults
from lehr.data.formats.coco_sizes import Sizes, place_boxes
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.voc_annotations import (
    Annotation,
    Annotations,
    faults_of_all,
    faults_of_unused,
    refuse_guessed_names,
)
from lehr.data.formats.voc_files import Pairs, pair, voc_images, walk_xml
from lehr.data.formats.voc_lists import VocSplits, folder_splits, read_lists
from lehr.data.formats.voc_names import voc_names
from lehr.data.formats.voc_objects import VocLabels, bounding_boxes
from lehr.data.objects import check_objects
from lehr.data.probing import probe_with_header
from lehr.data.split import split_samples
from lehr.data.threads import read_many
from lehr.errors import InputError
from lehr.sample import SPLITS, Dataset, Fault, Sample, Severity

DEFAULT_RATIOS = {"train": 0.7, "val": 0.3}
FULL_TURN = 6.2832
"""Radians; an angle above it is in degrees."""


@dataclass(slots=True)
class _Chosen:
    """The images that a folder's splits hold.

    Attributes:
        splits: images by split; under "" and "trainval" those that are still to be divided.
        faults: what lists and folders say that somebody should know.
    """

    splits: dict[str, list[Path]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def images(self) -> list[Path]:
        """All of them, each once."""
        return list(dict.fromkeys(path for paths in self.splits.values() for path in paths))


def load_voc(folder: Path, seed: int = 0) -> Dataset:
    """Read a VOC folder; where nothing says which images validate, 30% of those that train do, by the seed.

    Class names are those that occur, in the order of the alphabet, or of a `labelmap.txt`. Coordinates are taken as
    they stand, as the first and last pixel counted from 1.

    Raises:
        InputError: there are no images, or an image list names none of them.
    """
    images, unread = voc_images(folder)
    if not images:
        reasons = "".join(f"\n{line}" for line in describe_faults(unread))
        raise InputError(
            f"{folder}: holds no images. A VOC folder has JPEGImages, Annotations and ImageSets/Main.{reasons}"
        )
    annotations = Annotations()
    pairs = pair(folder, images, list(walk_xml(folder)), annotations.named_in)
    chosen = _choose(folder, images, pairs)
    faults = [*unread, *chosen.faults, *faults_of_unused(pairs.unused)]
    usable = [path for path in chosen.images if path not in pairs.doubtful and path not in pairs.twins]
    for path in chosen.images:
        if path in pairs.doubtful:
            faults.append(Fault("ambiguous-image", path, pairs.doubtful[path]))
        elif path in pairs.twins:
            faults.append(Fault("same-name", path, pairs.twins[path], severity=Severity.WARNING))
    samples, names, found = _samples(folder, usable, pairs.labels, annotations)
    splits = {split: [samples[path] for path in paths if path in samples] for split, paths in chosen.splits.items()}
    divided, notes = _divided(folder, splits, seed)
    ordered: dict[str, Sequence[Sample]] = {split: divided[split] for split in SPLITS if split in divided}
    return Dataset(str(folder), names, ordered, (*faults, *found, *notes))


def _choose(folder: Path, images: Sequence[Path], pairs: Pairs) -> _Chosen:
    """Find which images are of which split: by lists, else by folders, else all together."""
    chosen = _Chosen()
    parents = {image.parent for image in images} | {xml.parent for xml in pairs.labels.values()}
    roots = {folder} | {above for parent in parents for above in (parent, *parent.parents) if folder in above.parents}
    listed = False
    for root in sorted(roots):
        if root != folder and not (root / "ImageSets").is_dir():
            continue
        own = images if root == folder else [image for image in images if root in image.parents]
        splits = read_lists(root, own, pairs.labels)
        if splits is not None:
            listed = True
            _add(chosen, splits)
    if listed:
        left = len(images) - len(chosen.images)
        if left:
            message = f"{left} of its {len(images)} images are in no list and are not used"
            chosen.faults.append(Fault("unused-image", folder, message, severity=Severity.NOTE))
        return chosen
    by_folder = folder_splits(folder, images)
    if by_folder is not None:
        _add(chosen, by_folder)
        return chosen
    chosen.splits[""] = sorted(images, key=lambda path: (path.stem, str(path)))
    return chosen


def _add(chosen: _Chosen, splits: VocSplits) -> None:
    for split, paths in splits.images.items():
        chosen.splits.setdefault(split, []).extend(paths)
    chosen.faults += splits.faults


def _divided(
    folder: Path, splits: Mapping[str, list[Sample]], seed: int
) -> tuple[dict[str, list[Sample]], list[Fault]]:
    """Give a data set that has no images to validate some of those that train."""
    divided = {split: samples for split, samples in splits.items() if split in SPLITS}
    sources = [split for split in ("train", "trainval", "") if splits.get(split)]
    together = list({sample.path: sample for split in sources for sample in splits[split]}.values())
    if "val" in divided or not together:
        if sources and sources != ["train"]:
            divided["train"] = together
            message = "some of its images are listed in trainval alone; all of these are trained on"
            return divided, [Fault("split-made", folder, message, severity=Severity.NOTE)]
        return divided, []
    divided |= split_samples(together, DEFAULT_RATIOS, seed)
    of = {"train": "no images for val", "trainval": "only trainval"}.get(sources[0], "no splits")
    message = (
        f"has {of}: of {len(together)} images {len(divided['val'])} validate, drawn by the seed, and "
        f"{len(divided['train'])} train"
    )
    return divided, [Fault("split-made", folder, message, severity=Severity.NOTE)]


def _samples(
    folder: Path, images: Sequence[Path], label_of: Mapping[Path, Path], annotations: Annotations
) -> tuple[dict[Path, Sample], tuple[str, ...], list[Fault]]:
    """The samples of images, the class names, and what is wrong."""
    labelled = [(image, label_of[image]) for image in images if image in label_of]
    read = annotations.read(label for _, label in labelled)
    refuse_guessed_names(read, [label for _, label in labelled])
    faults = faults_of_all(read, labelled)
    usable = [image for image in images if image not in label_of or read[label_of[image]].labels is not None]
    headers, found = _headers(usable)
    faults += found
    usable = [image for image in usable if image in headers]
    contents = [_content(read, label_of.get(image)) for image in usable]
    for image in usable:
        if image not in label_of:
            message = (
                "no XML file of this name: the image is taken as background. If it is, give it one without objects"
            )
            faults.append(Fault("missing-label", image, message))
    used = Counter(name for labels in contents for name in labels.names)
    names, found = voc_names(folder, used)
    faults += found
    samples, found = _placed(folder, usable, contents, headers, [label_of.get(image) for image in usable], names)
    return samples, names, faults + found


def _content(read: Mapping[Path, Annotation], label: Path | None) -> VocLabels:
    labels = None if label is None else read[label].labels
    return VocLabels() if labels is None else labels


def _placed(
    folder: Path,
    images: Sequence[Path],
    contents: Sequence[VocLabels],
    headers: Mapping[Path, tuple[int, int, int]],
    label_of: Sequence[Path | None],
    names: tuple[str, ...],
) -> tuple[dict[Path, Sample], list[Fault]]:
    """Samples, their boxes placed on the images as displayed and checked, all at once."""
    counts = [len(labels.names) for labels in contents]
    of = np.repeat(np.arange(len(images)), counts)
    boxes = np.array([box for labels in contents for box in labels.boxes], np.float64).reshape(-1, 4)
    number = {name: index for index, name in enumerate(names)}
    classes = np.array([number[name] for labels in contents for name in labels.names], np.int64)
    difficult = np.array([flag for labels in contents for flag in labels.difficult], np.bool_)
    lines = np.array([line for labels in contents for line in labels.lines], np.int64)
    faults = _surround(folder, contents, boxes, counts)
    table = np.array([headers[image] for image in images], np.float64).reshape(-1, 3)
    stated = np.array([labels.size for labels in contents], np.float64).reshape(-1, 2)
    sizes = Sizes(stated, table[:, :2], table[:, 2].astype(np.int64))
    placed = place_boxes(folder, list(images), sizes, boxes, of)
    faults += placed.faults
    kept = ~placed.refused[of]
    paths = [label or image for label, image in zip(label_of, images, strict=True)]
    checked = check_objects(
        placed.xyxy[kept], classes[kept], images=of[kept], sizes=sizes.shown, paths=paths, lines=lines[kept]
    )
    faults += [fault for _, fault in checked.faults]
    flags = difficult[kept][checked.kept]
    if flags.any():
        message = (
            f"{int(flags.sum())} of {len(flags)} objects are marked as difficult: they are trained on, but for "
            "--difficult ignore, and an evaluation ignores them"
        )
        faults.append(Fault("difficult", folder, message, severity=Severity.NOTE))
    ends = np.searchsorted(of[kept][checked.kept], np.arange(len(images) + 1))
    samples = {}
    shown = sizes.shown.astype(np.int64).tolist()
    any_hard = np.concatenate(([0], np.cumsum(flags)))[ends]
    any_hard = any_hard[1:] > any_hard[:-1]
    for i, image in enumerate(images):
        if not placed.refused[i]:
            own = slice(ends[i], ends[i + 1])
            width, height = shown[i]
            hard = flags[own] if any_hard[i] else None
            samples[image] = Sample(image, width, height, checked.boxes[own], checked.classes[own], label_of[i], hard)
    return samples, faults


def _surround(
    folder: Path, contents: Sequence[VocLabels], boxes: NDArray[np.float64], counts: Sequence[int]
) -> list[Fault]:
    """Put the boxes around turned ones in their place."""
    starts = np.concatenate(([0], np.cumsum(counts)))
    turned = [(int(starts[i]) + each.index, each) for i, labels in enumerate(contents) for each in labels.rotated]
    if not turned:
        return []
    rotated = [each for _, each in turned]
    degrees = any(not each.degrees and abs(each.angle) > FULL_TURN for each in rotated)
    boxes[[index for index, _ in turned]] = bounding_boxes(rotated, degrees)
    unit = "degrees" if degrees or all(each.degrees for each in rotated) else "radians"
    message = (
        f"has {len(turned)} boxes that are turned (angles in {unit}): upright boxes around them are used. Label them "
        "upright where they would become too large"
    )
    return [Fault("rotated-box", folder, message, severity=Severity.WARNING)]


def _headers(images: Sequence[Path]) -> tuple[dict[Path, tuple[int, int, int]], list[Fault]]:
    """Width and height of the stored pixels, and orientation, of the images that can be used."""
    headers: dict[Path, tuple[int, int, int]] = {}
    faults: list[Fault] = []
    for image, (header, found) in zip(images, read_many(probe_with_header, images), strict=True):
        faults += found
        if header is not None:
            headers[image] = (header.width, header.height, header.orientation)
    return headers, faults


def _recognise(source: str) -> list[str]:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return []
    found = first_annotation(folder)
    if found is not None:
        return [f"it holds VOC annotations ({found.relative_to(folder)})"]
    names = {each.name for each in folder.iterdir() if each.is_dir()}
    return ["it holds Annotations and JPEGImages"] if {"Annotations", "JPEGImages"} <= names else []


def first_annotation(folder: Path, most: int = 20) -> Path | None:
    """The first XML file in a folder that looks like an annotation; None where none of the first `most` does."""
    for path in islice(walk_xml(folder), most):
        try:
            with path.open("rb") as file:
                head = file.read(4096).replace(b"\0", b"").lower()
        except OSError:
            continue
        if b"<annotation>" in head or b"<annotation " in head or b"<object" in head:
            return path
    return None


VOC = DataFormat("voc", _recognise, lambda source, seed: load_voc(Path(source).expanduser(), seed))

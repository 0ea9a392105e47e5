"""Pascal VOC layout: one XML file per image, splits as lists in `ImageSets` or as folders, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lehr.data.faults import describe_faults
from lehr.data.find_images import images_in
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.voc_annotations import (
    Annotation,
    Annotations,
    faults_of_all,
    faults_of_unused,
    read_annotation,
    refuse_guessed_names,
)
from lehr.data.formats.voc_files import LABEL_FOLDERS, Pairs, pair, voc_images, walk_xml
from lehr.data.formats.voc_lists import VocSplits, folder_splits, read_lists
from lehr.data.formats.voc_names import voc_names
from lehr.data.formats.voc_objects import VocLabels
from lehr.data.formats.voc_samples import make_samples, read_headers
from lehr.data.split import DEFAULT_RATIOS, split_samples
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.reading import read_start
from lehr.sample import SPLITS, Dataset, Fault, Sample, Severity


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

    Class names are those that occur, in the order of the alphabet, or of a `labelmap.txt`. Coordinates are used
    unchanged, as the first and last pixel counted from 1.

    Raises:
        InputError: there are no images, or an image list names none of them.
    """
    images, unread = voc_images(folder)
    if not images:
        reasons = "".join(f"\n{line}" for line in describe_faults(unread))
        part = folder.name.lower() in LABEL_FOLDERS and bool(images_in(folder.parent))
        remedy = f"Give {folder.parent}" if part else "A VOC folder has JPEGImages, Annotations and ImageSets/Main"
        raise InputError(f"{folder}: holds no images. {remedy}.{reasons}")
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
            message = (
                f"{left} of its {counted(len(images), 'image')} "
                f"{'is in no list and is' if left == 1 else 'are in no list and are'} not used"
            )
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
        f"has {of}: of {counted(len(together), 'image')} {len(divided['val'])} validate, drawn by the seed, and "
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
    headers, found = read_headers(usable)
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
    samples, found = make_samples(folder, usable, contents, headers, [label_of.get(image) for image in usable], names)
    return samples, names, faults + found


def _content(read: Mapping[Path, Annotation], label: Path | None) -> VocLabels:
    labels = None if label is None else read[label].labels
    return VocLabels() if labels is None else labels


def _recognise(source: str) -> list[str]:
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return []
    found = first_annotation(folder)
    if found is not None:
        return [f"it holds VOC annotations ({found.relative_to(folder)})"]
    both = (folder / "Annotations").is_dir() and (folder / "JPEGImages").is_dir()
    return ["it holds Annotations and JPEGImages"] if both else []


def _misses(source: str) -> str | None:
    """Say which folder is meant where a source is part of one, or why its XML is not an annotation."""
    path = Path(source).expanduser()
    signs = ("Annotations", "ImageSets")
    whole = next((each for each in path.parents if any((each / sign).is_dir() for sign in signs)), None)
    if whole is not None:
        return f"it is a part of {whole}. Give that folder."
    if path.is_dir() and (found := next(walk_xml(path), None)) is not None:
        problem = read_annotation(found).problem
        return f"{found}: {problem.message if problem else 'has no object and no <annotation>.'}"
    return None


def first_annotation(folder: Path, most: int = 20) -> Path | None:
    """The first XML file in a folder that looks like an annotation; None if none of the first `most` does."""
    for path in islice(walk_xml(folder), most):
        try:
            head = read_start(path, 4096).replace(b"\0", b"").lower()
        except OSError:
            continue
        if b"<annotation>" in head or b"<annotation " in head or b"<object" in head:
            return path
    return None


VOC = DataFormat("voc", _recognise, lambda source, seed: load_voc(Path(source).expanduser(), seed), _misses)

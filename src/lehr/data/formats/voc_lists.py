"""The lists of a VOC folder: which images train, validate and test, by names in text files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lehr.data.folder_index import LONGEST
from lehr.data.formats.voc_files import fold, neutral_folder
from lehr.data.images import is_image
from lehr.data.limits import LIST_BYTES
from lehr.data.text_files import read_text
from lehr.errors import InputError
from lehr.sample import SPLITS, Fault, Severity

SPLIT_OF = {
    **dict.fromkeys(("train", "training", "train_list"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "val_list", "valid_list", "minival"), "val"),
    **dict.fromkeys(("test", "testing", "test_list"), "test"),
    **dict.fromkeys(("trainval", "train_val", "trainval_list"), "trainval"),
}
"""Names of lists and folders, and the split of each."""
SHOWN = 200
"""Characters of a line that are shown."""
SETS = ("Main", "", "Layout", "Segmentation", "Action")
"""Folders of `ImageSets` in which lists are looked for, in order."""
FLAGS = re.compile(r"(.*\S)\s+[+-]?\d+")
"""A line with a number behind the name: 1, -1 and 0 in lists of one class."""
WITH_XML = re.compile(r"(.*\S)\s+\S.*\.xml", re.IGNORECASE)
"""A line that names an image and its XML."""


@dataclass(slots=True)
class VocSplits:
    """Images of each split, in the order of the lists.

    Attributes:
        images: by split; `trainval` among them where only that is there.
        faults: lines that name no image, and how lists were read otherwise than they stand.
    """

    images: dict[str, list[Path]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class ImageNames:
    """Finds images by the names that lists give them."""

    def __init__(self, root: Path, images: Iterable[Path], labelled: Iterable[Path]) -> None:
        """Index images.

        Args:
            root: what names are relative to.
            images: all that may be named.
            labelled: those with an XML, which are meant where a name could be that of several.
        """
        self._prefix = len(str(root)) + 1
        self._labelled = set(labelled)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._by_fold: dict[str, list[Path]] = defaultdict(list)
        for path in images:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)
        for stem, paths in self._by_stem.items():
            self._by_fold[fold(stem)] += paths

    def find(self, line: str) -> list[Path]:
        """The images that a line may mean: one, none, or several that share its name."""
        named = self._named(line)
        for pattern in (WITH_XML, FLAGS):
            if named:
                return named
            match = pattern.fullmatch(line)
            named = self._named(match[1]) if match else []
        return named

    def _named(self, text: str) -> list[Path]:
        where, _, name = text.strip().strip("'\"").replace("\\", "/").rpartition("/")
        stem, _, suffix = name.rpartition(".")
        known = bool(stem) and (suffix.lower() == "xml" or is_image(Path(name)))
        found = self._by_name.get(name, []) if known else []
        found = found or self._by_stem.get(stem if known else name, [])
        found = found or self._by_fold.get(fold(stem if known else name), [])
        if len(found) > 1 and where:
            found = self._in_folder(found, neutral_folder(where)) or found
        if len(found) > 1:
            found = [path for path in found if path in self._labelled] or found
        return found

    def _in_folder(self, paths: list[Path], where: str) -> list[Path]:
        """Those of some images whose folder ends as a given one does, or the other way round."""
        kept = []
        for path in paths:
            own = "/" + neutral_folder(str(path.parent)[self._prefix :])
            if f"/{where}".endswith(own) or own.endswith(f"/{where}"):
                kept.append(path)
        return kept


def find_lists(root: Path) -> tuple[dict[str, list[Path]], Path | None]:
    """The lists of a folder by split, and the folder that they are in; lists of single classes where no other is.

    Raises:
        InputError: a split has two lists.
    """
    sets = next((each for each in (root / "ImageSets", root / "imagesets") if each.is_dir()), None)
    places = [] if sets is None else [sets / name for name in SETS]
    if sets is not None:
        places += sorted(each for each in sets.iterdir() if each.is_dir() and each.name not in SETS)
    for place in [*places, root]:
        texts = sorted(place.glob("*.[tT][xX][tT]")) if place.is_dir() else []
        lists: dict[str, list[Path]] = defaultdict(list)
        for path in texts:
            if path.stem.lower() in SPLIT_OF:
                lists[SPLIT_OF[path.stem.lower()]].append(path)
        for split, paths in lists.items():
            if len(paths) > 1:
                raise InputError(f"{paths[0]} and {paths[1]} both list images for {split}. Keep one.")
        if not lists and place != root:
            lists = _class_lists(texts) or {"": texts}
        if any(lists.values()):
            return dict(lists), place
    return {}, None


def _class_lists(texts: Sequence[Path]) -> dict[str, list[Path]]:
    """Lists such as `cat_train.txt`, by split."""
    lists: dict[str, list[Path]] = defaultdict(list)
    for path in texts:
        split = SPLIT_OF.get(path.stem.lower().rpartition("_")[2])
        if split is not None:
            lists[split].append(path)
    return dict(lists)


def read_lists(root: Path, images: Sequence[Path], labelled: Iterable[Path]) -> VocSplits | None:
    """Read the lists of a folder; None if it has none.

    Raises:
        InputError: a list is not text, or a split has two.
    """
    lists, place = find_lists(root)
    if place is None:
        return None
    names = ImageNames(root, images, labelled)
    splits = VocSplits()
    for split, paths in lists.items():
        listed: dict[Path, None] = {}
        for path in paths:
            listed |= dict.fromkeys(_listed(path, names, splits.faults))
        splits.images[split] = list(listed)
    if place == root and not any(splits.images.values()):
        return None
    if place.name != "Main":
        message = f"has the lists of images that are used; there are none in {root / 'ImageSets' / 'Main'}"
        splits.faults.append(Fault("list-form", place, message, severity=Severity.NOTE))
    elif lists.keys() <= {*SPLITS, "trainval"} and any(len(paths) > 1 for paths in lists.values()):
        message = "has lists of single classes only; a split is all images that one of them names"
        splits.faults.append(Fault("list-form", place, message, severity=Severity.NOTE))
    _part_trainval(place, splits)
    return splits


def _listed(path: Path, names: ImageNames, faults: list[Fault]) -> Iterator[Path]:
    """The images that a list names."""
    try:
        text = read_text(path, LIST_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if text is None:
        raise InputError(f"{path}: is not text. It must name one image per line.")
    lines = [(number, line.strip()) for number, line in enumerate(text.content.splitlines(), 1)]
    if text.encoding != "UTF-8" and any(not line.isascii() for _, line in lines):
        message = f"is {text.encoding}; it is read accordingly"
        faults.append(Fault("list-form", path, message, severity=Severity.NOTE))
    seen: dict[Path, int] = {}
    for number, line in lines:
        if not line:
            continue
        found = names.find(line) if len(line) <= LONGEST else []
        if not found and line.startswith("#"):
            continue
        if len(found) == 1:
            if found[0] in seen:
                message = f"names '{line[:SHOWN]}' on line {seen[found[0]]} already; it is used once"
                faults.append(Fault("duplicate-image", path, message, number, Severity.WARNING))
                continue
            seen[found[0]] = number
            yield found[0]
        elif found:
            several = " or ".join(map(str, found[:3]))
            message = f"names '{line[:SHOWN]}', which could be {several}. Write folder and suffix too"
            faults.append(Fault("ambiguous-image", path, message, number))
        else:
            message = f"names '{line[:SHOWN]}', but there is no such image. Restore it or remove the line"
            faults.append(Fault("unreadable-image", path, message, number))


def _part_trainval(place: Path, splits: VocSplits) -> None:
    """Take what is missing of train and val from `trainval`, which is both together."""
    together = splits.images.pop("trainval", None)
    if together is None or ("train" in splits.images and "val" in splits.images):
        return
    other = next((split for split in ("train", "val") if split in splits.images), None)
    if other is None:
        splits.images = {"trainval": together, **splits.images}
        return
    missing = "val" if other == "train" else "train"
    known = set(splits.images[other])
    splits.images[missing] = [path for path in together if path not in known]
    message = f"has no list for {missing}: the images of trainval that are not in {other} are taken"
    splits.faults.append(Fault("split-made", place, message, severity=Severity.NOTE))


def folder_splits(root: Path, images: Sequence[Path]) -> VocSplits | None:
    """Splits by folders such as `train`, `valid` and `test`; None if there are no such.

    Args:
        root: what the folders are in.
        images: all images.
    """
    prefix = len(str(root)) + 1
    split_of: dict[Path, str | None] = {}
    splits = VocSplits()
    outside: list[Path] = []
    for image in images:
        where = image.parent
        if where not in split_of:
            parts = neutral_folder(str(where)[prefix:]).lower().split("/")
            split_of[where] = next((SPLIT_OF[part] for part in parts if part in SPLIT_OF), None)
        split = split_of[where]
        if split is None:
            outside.append(image)
        else:
            splits.images.setdefault(split, []).append(image)
    if "train" not in splits.images or len(splits.images) < 2:
        return None
    if outside:
        message = f"is in no folder of a split, as {len(outside)} images are; they are not used"
        splits.faults.append(Fault("unused-image", outside[0], message, severity=Severity.WARNING))
    return splits

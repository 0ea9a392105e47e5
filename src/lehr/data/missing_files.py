"""Images without labels, and labels without images: half of a data set that was not copied, or was renamed."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lehr.data.find_images import is_hidden
from lehr.data.images.kinds import read_suffixes, suffix_of, unread
from lehr.runtime.reading import read_start
from lehr.sample import Dataset, Fault

NUMBERS = 4
"""Numbers in the first line of a text file that is taken for a label file."""
START = 4096
"""Bytes of a text file that are looked at."""


def most_labels_missing(dataset: Dataset) -> list[Fault]:
    """Fault of a data set in which most images of a split have no label file, though some have."""
    found = []
    for split, samples in dataset.splits.items():
        missing = [sample for sample in samples if sample.label_path is None]
        if 2 * len(missing) > len(samples) > len(missing):
            count = f"{len(missing):,} of {len(samples):,} images of '{split}'"
            found.append(f"{count} have no label file, such as {missing[0].path.name}")
    if not found:
        return []
    message = (
        f"{', and '.join(found)}: they count as background. Were all label files copied? Restore them; write empty "
        "ones if there is nothing to label"
    )
    return [Fault("most-labels-missing", Path(dataset.source), message)]


def labels_without_image(images: Sequence[Path], labels: Sequence[Path]) -> list[Fault]:
    """Faults of label files whose image is not there, in the folders that hold labels of other images.

    Args:
        images: the images of a data set.
        labels: the label file of each, whether there is one or not.
    """
    used: defaultdict[str, set[str]] = defaultdict(set)
    folders: defaultdict[str, set[str]] = defaultdict(set)
    for image, label in zip(images, labels, strict=True):
        folder, name = str(label).rpartition(os.sep)[::2]
        used[folder].add(name)
        folders[folder].add(str(image).rpartition(os.sep)[0])
    faults = []
    for folder in sorted(used):
        place = Path(folder)
        left = sorted(set(_names_in(place)) - used[folder])
        left = [name for name in left if name.endswith(".txt") and not is_hidden(name)]
        stems = {stem for each in folders[folder] for stem in _image_stems(Path(each))} if left else set()
        for name in left:
            if name.removesuffix(".txt") not in stems and _is_label(place / name, folder not in folders[folder]):
                message = "is a label file without an image, and is not used. Restore the image, or remove this file"
                faults.append(Fault("label-without-image", place / name, message))
    return faults


def _names_in(folder: Path) -> list[str]:
    """Names of what is in a folder; none if it is missing or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _image_stems(folder: Path) -> set[str]:
    """Names, without suffix, of the images in a folder: whether they are in the data set, are read, or not."""
    return {name.rpartition(".")[0] for name in _names_in(folder) if suffix_of(name) in read_suffixes() or unread(name)}


def _is_label(path: Path, in_own_folder: bool) -> bool:
    """Return whether a text file begins like a label file; an empty one counts where label files have their folder."""
    try:
        text = read_start(path, START).replace(b"\0", b"").decode("utf-8", "replace")
    except OSError:
        return False
    first = next((line for line in text.splitlines() if line.strip()), None)
    if first is None:
        return in_own_folder
    return len(re.findall(r"(?<![^\s,;:])[-+]?\d*[.,]?\d+(?:[eE][-+]?\d+)?(?![^\s,;])", first)) >= NUMBERS

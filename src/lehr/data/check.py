"""Checks for everything that is wrong with a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lehr.data.groups import content_digest
from lehr.data.images import ImageFault, decode_file
from lehr.errors import InputError
from lehr.sample import REFUSED, Dataset, Fault, Sample, Severity


def check_dataset(dataset: Dataset) -> list[Fault]:
    """Collect all faults: those found while reading, images that do not decode, and images in two splits.

    Decodes every image, so it takes as long as reading all of them.
    """
    paths = list(dict.fromkeys(sample.path for samples in dataset.splits.values() for sample in samples))
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(_decode, paths))
        digests = dict(zip(paths, pool.map(content_digest, paths), strict=True))
    broken = [fault for fault, _ in decoded if fault is not None]
    depths = {path: bits for path, (_, bits) in zip(paths, decoded, strict=True) if bits is not None}
    return [*dataset.faults, *broken, *_odd_depths(depths), *_leaks(dataset, digests), *_empty(dataset)]


def refuse_unusable(dataset: Dataset, skip_broken: bool = False) -> None:
    """Refuse data that would silently train something different from the labels.

    Args:
        dataset: the data set as read.
        skip_broken: skip images that are broken, or whose label file is.

    Raises:
        InputError: a class is out of range, labels are ambiguous, or a file is broken and `skip_broken` is not given.
    """
    wrong = [fault for fault in dataset.faults if fault.kind in REFUSED]
    if wrong:
        kinds = {fault.kind for fault in wrong}
        cause = "Labels are ambiguous." if "doubtful-labels" in kinds else "Labels and class names disagree."
        raise InputError(f"{_few(wrong)}\n{cause} Correct the labels, or 'names' in {dataset.source}.")
    if dataset.broken and not skip_broken:
        raise InputError(
            f"{_few(dataset.broken)}\nRepair or remove what is broken, or train without it by --skip-broken."
        )


def faults_of_split(dataset: Dataset, split: str) -> list[Fault]:
    """The faults of a data set that may concern a split: all but those in images and labels of other splits."""
    if not dataset.faults:
        return []
    own = _files(dataset.splits.get(split, ()))
    others = set().union(*(_files(samples) for name, samples in dataset.splits.items() if name != split)) - own
    return [fault for fault in dataset.faults if fault.path not in others]


def _files(samples: Sequence[Sample]) -> set[Path | None]:
    """The images and label files of some samples."""
    return {path for sample in samples for path in (sample.path, sample.label_path)}


def _few(faults: Iterable[Fault], limit: int = 5) -> str:
    lines = [str(fault) for fault in faults]
    more = [f"... and {len(lines) - limit} more; `lehr data check` lists all"] if len(lines) > limit else []
    return "\n".join(lines[:limit] + more)


def _decode(path: Path) -> tuple[Fault | None, int | None]:
    """Return the faults of an image, and the bits that it uses if its file has more than 8."""
    try:
        decoded = decode_file(path)
    except ImageFault as error:
        return Fault(error.kind, error.path, error.reason), None
    if not decoded.damage:
        return None, decoded.bits
    message = f"is damaged ({decoded.damage}); part of it may be missing or wrong. Replace or remove it"
    return Fault("damaged-image", path, message, severity=Severity.WARNING), decoded.bits


def _odd_depths(depths: dict[Path, int]) -> list[Fault]:
    """Find images whose samples are scaled differently from most."""
    counted = Counter(depths.values())
    if len(counted) < 2:
        return []
    usual = counted.most_common(1)[0][0]
    shown = {0: "floating-point numbers from 0 to 1"}
    return [
        Fault(
            "depth-differs",
            path,
            f"uses {shown.get(bits, f'{bits} bits')}, but most deep images here {shown.get(usual, f'{usual} bits')}: "
            "it is scaled differently from them. Write all with 8 bits, scaled the same",
            severity=Severity.WARNING,
        )
        for path, bits in depths.items()
        if bits != usual
    ]


def _leaks(dataset: Dataset, digests: dict[Path, bytes]) -> list[Fault]:
    """Images of a later split whose content is also in an earlier one."""
    faults: list[Fault] = []
    seen: dict[bytes, tuple[str, Path]] = {}
    for split, samples in dataset.splits.items():
        in_split: dict[bytes, tuple[str, Path]] = {}
        for sample in samples:
            digest = digests[sample.path]
            if digest in seen:
                other_split, other = seen[digest]
                message = f"is in '{split}' and, as {other}, in '{other_split}'. Remove it from one of them"
                faults.append(Fault("in-two-splits", sample.path, message))
            elif digest in in_split:
                message = f"is in '{split}' twice: the same image as {in_split[digest][1]}"
                faults.append(Fault("duplicate-image", sample.path, message, severity=Severity.WARNING))
            else:
                in_split[digest] = (split, sample.path)
        seen |= {digest: found for digest, found in in_split.items() if digest not in seen}
    return faults


def _empty(dataset: Dataset) -> list[Fault]:
    """Find splits without an image; entries without images are already reading faults. A test split is optional."""
    return [
        Fault(
            "empty-split",
            Path(dataset.source),
            f"the split '{split}' has no usable image",
            severity=Severity.WARNING if split == "test" else Severity.ERROR,
        )
        for split, samples in dataset.splits.items()
        if not samples and split not in dataset.absent
    ]

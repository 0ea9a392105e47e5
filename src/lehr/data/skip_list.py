"""Lists of images to skip, one per line, written by `lehr data audit` and read by `--skip`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.data.image_list import images_listed
from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Dataset, Severity

if TYPE_CHECKING:
    from lehr.data.audit.findings import Finding

HEADER = """\
# Images to train without: lehr train --skip FILE
# Lines that begin with # are comments: remove the sign where you agree, add it where you do not.
"""


def write_skip_list(findings: Sequence[Finding], path: Path) -> int:
    """Write the list of images to skip; those to check first are comments.

    Args:
        findings: of an audit.
        path: the file.

    Returns:
        How many images are skipped.

    Raises:
        InputError: the file cannot be written.
    """
    chosen: dict[Path, Finding] = {}
    for finding in sorted(findings, key=lambda each: not each.skip):
        if finding.skip or finding.kind in ("label", "near copy"):
            chosen.setdefault(finding.image, finding)
    lines = []
    for image, finding in chosen.items():
        name = str(image.absolute())
        listable = name == one_line(name) and name == name.strip() and not name.startswith("#")
        sign = "" if finding.skip and listable else "#"
        lines += [f"# {finding.kind}: {one_line(finding.reason)}\n", f"{sign}{one_line(name)}\n"]
    with atomic_file(path, "Choose another --out folder.") as temporary:
        temporary.write_bytes((HEADER + "".join(lines)).encode(errors="surrogateescape"))
    return sum(finding.skip for finding in chosen.values())


def without_listed(dataset: Dataset, listing: str | None, say: Callable[[str], None] = lambda line: None) -> Dataset:
    """Return a data set without the images of a list, in all splits.

    Args:
        dataset: the data set.
        listing: a text file that names one image per line; None to skip none.
        say: called with their number.

    Raises:
        InputError: the list cannot be read, or names an image that is nowhere.
    """
    if listing is None:
        return dataset
    try:
        images, faults = images_listed(Path(listing).expanduser(), [])
    except InputError as error:
        raise InputError(f"--skip {error}") from None
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    if errors:
        more = f"\n{counted(len(errors) - 1, 'more line')} likewise." if len(errors) > 1 else ""
        raise InputError(f"--skip {errors[0]}{more}")
    listed = {os.path.realpath(image) for image in images}
    splits = {
        split: [sample for sample in samples if os.path.realpath(sample.path) not in listed]
        for split, samples in dataset.splits.items()
    }
    gone = {split: len(samples) - len(splits[split]) for split, samples in dataset.splits.items()}
    found = {os.path.realpath(sample.path) for samples in dataset.splits.values() for sample in samples} & listed
    counts = ", ".join(f"{count} of {split}" for split, count in gone.items() if count) or "none of this data set"
    unknown = len(listed) - len(found)
    rest = f"; {unknown} listed images are not in it" if unknown else ""
    say(f"--skip {listing}: images not used: {counts}{rest}.")
    return replace(dataset, splits=dict(splits))

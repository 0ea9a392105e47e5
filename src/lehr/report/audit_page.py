"""The page of `lehr data audit`: what was found, the gravest first, with the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.analysis.suspects import Suspect
from lehr.data.audit.findings import MEANINGS, Finding, FindingKind
from lehr.data.images import ImageFault, read_image
from lehr.data.images.jpeg import encode_jpeg
from lehr.report.page import Page
from lehr.report.pieces import Cell, Column, Command, Gallery, Piece, Section, Table, Thumbnail, number_cell
from lehr.report.sections.suspects import MOST, suspects_of
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Dataset, Sample

ROWS = 500
"""Rows of a table at most; the JSON has all."""
PAIRS, PAIR_HEIGHT, PAIR_BYTES = 40, 200, 24_000
"""Pairs that are shown at most, their height in pixels, and bytes of each."""
TITLES = {
    FindingKind.LEAK: ("leaks", "Leaks between splits"),
    FindingKind.COPY: ("copies", "Near copies within a split"),
    FindingKind.CLASS: ("classes", "Classes of one split"),
    FindingKind.SMALL: ("small", "Objects too small"),
}


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of an audit.

    Attributes:
        dataset: what was audited.
        imgsz: the training size that objects were measured at, pixels.
        findings: all that was found; of a kind, the gravest first.
        suspects: image and suspect of each finding about a label, in their order.
        unread: images that cannot be read.
        weights: the weights that labels were compared with; None without.
    """

    dataset: Dataset
    imgsz: int
    findings: Sequence[Finding]
    suspects: Sequence[tuple[Sample, Suspect]] = ()
    unread: Sequence[Path] = ()
    weights: Path | None = None

    def of_kind(self, kind: FindingKind) -> list[Finding]:
        """The findings of a kind, in their order."""
        return [finding for finding in self.findings if finding.kind is kind]

    def as_dict(self) -> dict[str, object]:
        """The audit as JSON can hold it."""
        counts = Counter(finding.kind for finding in self.findings)
        return {
            "data": self.dataset.source,
            "images": {split: len(samples) for split, samples in self.dataset.splits.items()},
            "imgsz": self.imgsz,
            "weights": None if self.weights is None else str(self.weights),
            "unread": [str(path) for path in self.unread],
            "counts": {str(kind): counts[kind] for kind in FindingKind},
            "findings": [finding.as_dict() for finding in self.findings],
        }


def audit_answers(audit: Audit) -> list[str]:
    """Say what was found, a sentence for each kind."""
    lines = []
    for kind in FindingKind:
        found = audit.of_kind(kind)
        if kind is FindingKind.LABEL and audit.weights is None:
            continue
        images = len({finding.image for finding in found})
        lines.append(f"{kind}: {counted(images, 'image') if images else 'none'} ({MEANINGS[kind]}).")
    if audit.unread:
        lines.append(f"{counted(len(audit.unread), 'image')} cannot be read: see `lehr data check`.")
    return [line[0].upper() + line[1:] for line in lines]


def audit_page(audit: Audit, skip_list: Path | None = None) -> Page:
    """Build the page of an audit.

    Args:
        audit: what was found.
        skip_list: the list of images to skip; None if none was written.
    """
    sections = [_section(kind, audit.of_kind(kind)) for kind in TITLES]
    if audit.weights is not None:
        sections.append(suspects_of(audit.dataset.names, audit.suspects[:MOST], len(audit.suspects)))
    if skip_list is not None:
        command = Command(
            "Train without the leaks",
            f"lehr train --data {audit.dataset.source} --skip {skip_list}",
            "The list names images of leaks and copies of files; all that somebody should look at first are comments.",
        )
        sections.append(Section("next", "Next", [command]))
    images = {split: len(samples) for split, samples in audit.dataset.splits.items()}
    summary = [
        ("Data", audit.dataset.source),
        ("Images", ", ".join(f"{split} {number}" for split, number in images.items())),
        ("Training size", f"{audit.imgsz} pixels"),
        *([] if audit.weights is None else [("Weights", str(audit.weights))]),
    ]
    name = Path(audit.dataset.source).absolute()
    title = name.parent.name if name.suffix in (".yaml", ".yml") else name.name
    return Page(one_line(title), "lehr data audit", audit_answers(audit), summary, [], sections)


def _section(kind: FindingKind, found: Sequence[Finding]) -> Section:
    name, title = TITLES[kind]
    pair = any(finding.others for finding in found)
    columns = [Column("image"), Column("split"), Column("why"), Column("score", numeric=True)]
    rows = [
        [
            Cell(one_line(finding.image.name), folded=one_line(str(finding.image))),
            Cell(finding.split),
            Cell(one_line(finding.reason), folded=_listed(finding.others[1:])),
            number_cell(f"{finding.score:.2f}", finding.score),
        ]
        for finding in found[:ROWS]
    ]
    more = f" The first {ROWS} of {len(found)}; the JSON has all." if len(found) > ROWS else ""
    meaning = MEANINGS[kind]
    table = Table(title, columns, rows, f"{meaning[0].upper()}{meaning[1:]}.{more}", "None.")
    pieces: list[Piece] = [table]
    if pair and (pairs := _pairs(found)):
        caption = "Left the image, right the one that it is a near copy of."
        pieces.insert(0, Gallery(name, f"{title}: the images", pairs, caption))
    return Section(name, title, pieces)


def _listed(paths: Sequence[Path]) -> str:
    shown = ", ".join(one_line(str(path)) for path in paths[:10])
    return f"{shown} and {len(paths) - 10} more" if len(paths) > 10 else shown


def _pairs(found: Sequence[Finding]) -> list[Thumbnail]:
    """Images next to those that they are near copies of."""
    thumbnails = []
    for finding in found[:PAIRS]:
        images = [_small(path) for path in (finding.image, finding.others[0])]
        shown = [image for image in images if image is not None]
        if len(shown) < 2:
            continue
        gap = np.full((PAIR_HEIGHT, 6, 3), 255, np.uint8)
        names = [one_line(path.name) for path in (finding.image, finding.others[0])]
        thumbnails.append(
            Thumbnail(
                encode_jpeg(np.hstack([shown[0], gap, shown[1]]), PAIR_BYTES),
                f"{names[0]} and {names[1]} side by side",
                f"{names[0]} ({finding.split})",
                f"{one_line(finding.reason)}.",
                [f"split: {finding.split}"],
            )
        )
    return thumbnails


def _small(path: Path) -> NDArray[np.uint8] | None:
    """An image at the height of a pair; None if it cannot be read."""
    try:
        image = read_image(path, least=(PAIR_HEIGHT, PAIR_HEIGHT))
    except ImageFault:
        return None
    width = min(max(1, round(image.shape[1] * PAIR_HEIGHT / image.shape[0])), 3 * PAIR_HEIGHT)
    return np.asarray(cv2.resize(image, (width, PAIR_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)

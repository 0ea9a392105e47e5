"""Kinds of faults: every kind, its remedy, and summaries of many faults in one line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lehr.runtime.installing import pip_install
from lehr.sample import Fault, Severity

FIRST = 3
"""Places shown of a group of faults."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        means: what is wrong, in the plural, e.g. "images without a label file, taken as background".
        remedy: what to do.
    """

    means: str
    remedy: str


KINDS: dict[str, FaultKind] = {
    "absent-entry": FaultKind("entries of the data YAML without an image", "Correct or remove them"),
    "absent-split": FaultKind("splits that are named but have no image", "Correct the entry, or remove it"),
    "ambiguous-image": FaultKind(
        "images whose file or labels are ambiguous, skipped", "Give each a unique name and id"
    ),
    "box-form": FaultKind(
        "boxes in a form other than centre and size in shares of the image, read as reported",
        "Compare a few with their images; nothing to do if they are right",
    ),
    "box-outside-image": FaultKind(
        "boxes that reach outside their image, clipped to it, or skipped if nothing is left",
        "Correct them; if there are many, the labels may belong to other images or be in other units",
    ),
    "box-without-area": FaultKind("boxes without area", "Redraw them"),
    "categories-differ": FaultKind(
        "COCO JSON whose categories differ from those of the first, matched by name", "Use the same names in all"
    ),
    "class-list": FaultKind("lists of classes", "Add all classes that occur"),
    "class-names": FaultKind("names of classes instead of their ids, read as ids", "Nothing to do"),
    "class-out-of-range": FaultKind("classes that the data set does not name", "Correct the labels, or 'names'"),
    "damaged-image": FaultKind(
        "images that are damaged, used as far as they decode", "Check them, and replace or remove them"
    ),
    "dangling-link": FaultKind(
        "links to images that are not there", "Fetch the data (`git annex get`, `dvc pull`), or remove the links"
    ),
    "deep-image": FaultKind(
        "images of more than 8 bits, scaled to 8 by the bits that each uses",
        "Nothing to do if all use the same number; `lehr data check` names those that differ",
    ),
    "depth-differs": FaultKind(
        "images of more than 8 bits that use a different number of bits from most, so that they are scaled differently",
        "Write all with 8 bits, scaled the same",
    ),
    "crowd": FaultKind("places with crowd regions, not trained on or evaluated", "Nothing to do"),
    "deleted-object": FaultKind("files with objects marked as deleted, not used", "Nothing to do"),
    "difficult": FaultKind(
        "objects marked as difficult, trained on but not evaluated", "Give --difficult ignore to train without them"
    ),
    "doubtful-labels": FaultKind("ambiguous labels, not used", "Write them as 'class centre-x centre-y width height'"),
    "duplicate-box": FaultKind("boxes given twice, used once", "Remove one of each"),
    "duplicate-id": FaultKind("COCO JSON with ids that are given twice", "Export the data set again"),
    "duplicate-image": FaultKind("images that are in a split twice", "Remove one of each"),
    "empty-split": FaultKind("splits without a usable image", "Correct the entry in the data YAML, or remove it"),
    "encoding": FaultKind("files in an encoding other than UTF-8, read anyway", "Save them as UTF-8"),
    "extra-column": FaultKind("columns after the box, ignored", "Nothing to do"),
    "grouping-category": FaultKind("categories that only group others, dropped", "Nothing to do"),
    "id-as-text": FaultKind(
        "COCO JSON with ids that are text in one place and numbers in another, matched as text",
        "Nothing to do",
    ),
    "in-two-splits": FaultKind("images that are in two splits", "Remove each from one of them"),
    "key-name": FaultKind("keys read under another name", "Rename them, for other programs"),
    "keypoints": FaultKind("labels with keypoints, whose boxes are used", "Nothing to do"),
    "label-encoding": FaultKind("label files in encodings other than UTF-8, read", "Nothing to do"),
    "label-header": FaultKind("headers in label files, skipped", "Nothing to do"),
    "label-without-image": FaultKind(
        "label files without an image, not used", "Restore the images, or remove the label files"
    ),
    "label-writing": FaultKind("unusual number formats, read", "Nothing to do"),
    "list-form": FaultKind("lists of images that are not read literally", "Compare the images read with the list"),
    "malformed-line": FaultKind("unreadable labels, skipped", "Correct or remove them"),
    "merged-image": FaultKind(
        "COCO JSON that list an image more than once, merged", "Give different images different names"
    ),
    "missing-label": FaultKind(
        "images without a label file, taken as background",
        "Restore the label files; write an empty one for images without objects",
    ),
    "name-as-written": FaultKind("class names that other readers of YAML change", "Put them in quotes"),
    "names-form": FaultKind("class names in an unusual form", "Write names as a list, or as a map from number to name"),
    "most-labels-missing": FaultKind(
        "splits most of whose images have no label file, and count as background",
        "Restore the label files; write empty ones for images without objects",
    ),
    "no-image": FaultKind("files next to the images that are not images", "Nothing to do if they should not be used"),
    "no-source": FaultKind("entries of a list that match no file", "Correct the list, or remove them"),
    "no-splits": FaultKind("data sets without splits", "Split them: lehr data split SOURCE --out FOLDER"),
    "other-place": FaultKind("paths found in a different place", "Correct them if other files are meant"),
    "names-other-image": FaultKind(
        "labels that name a different image from their file name, used for the latter", "Compare a few of them"
    ),
    "other-size": FaultKind(
        "images whose size differs from their labels', skipped",
        "Restore the images that were labelled, or export the labels again",
    ),
    "other-task": FaultKind("data for another task than detection", "Nothing to do if you want boxes"),
    "other-xml": FaultKind("XML files that are not annotations, skipped", "Nothing to do"),
    "polygon": FaultKind("polygons, whose bounding boxes are used", "Nothing to do"),
    "rotated-box": FaultKind(
        "rotated boxes, replaced by upright ones around them", "Label upright boxes if these are too large"
    ),
    "same-name": FaultKind(
        "images that share a name with one whose label file is not theirs, not used", "Give each a unique name"
    ),
    "similar-classes": FaultKind(
        "classes whose names are nearly the same, kept apart", "Give them one name if they are the same class"
    ),
    "size-disagrees": FaultKind(
        "labels that state a size different from their image's", "Export the labels again, or restore the image"
    ),
    "too-large-image": FaultKind("images that are too large to be read", "Reduce them, or cut them into tiles"),
    "too-many-objects": FaultKind(
        "images with more objects than are read, skipped", "Correct them, cut them into tiles, or set LEHR_MAX_OBJECTS"
    ),
    "split-made": FaultKind(
        "data sets whose splits were chosen by Lehr", "Write a list for each, or use `lehr data split`"
    ),
    "swapped-corners": FaultKind(
        "files with boxes whose corners are swapped, read anyway", "Compare a few with their images"
    ),
    "truncated-image": FaultKind("truncated images", "Copy them again or remove them"),
    "turned-image": FaultKind(
        "COCO JSON of images that EXIF turns", "Check some, or store the images upright and label them again"
    ),
    "two-formats": FaultKind("places that could be of two formats", "Name the format: --data FORMAT:SOURCE"),
    "unknown-class-name": FaultKind(
        "names of classes that the data set does not have, in place of ids", "Write the ids, or correct 'names'"
    ),
    "unread-image": FaultKind(
        "images of formats that are not read here",
        f"Install their decoder ({pip_install('formats')} in your clone of Lehr) or convert them",
    ),
    "unreadable-folder": FaultKind("folders that cannot be read", "Fix their permissions, or remove them"),
    "unused-image": FaultKind("images in no split, not used", "Add them to a list, or move them into a split's folder"),
    "unreadable-image": FaultKind("images that cannot be read", "Replace or remove them"),
    "unreadable-label": FaultKind("label files that cannot be read", "Restore or remove them"),
    "unreadable-video": FaultKind("videos that cannot be read", "Replace or remove them"),
    "unused-key": FaultKind("keys that are not used", "Nothing to do if they belong to other programs"),
    "unusual-box": FaultKind(
        "COCO JSON with boxes that are not written as x, y, width, height", "Check that they are read correctly"
    ),
}
"""Every kind of fault, by name."""


@dataclass(frozen=True, slots=True)
class FaultGroup:
    """The faults of one kind and severity.

    Attributes:
        kind: their kind.
        severity: their severity.
        faults: all of them, in the order found.
    """

    kind: str
    severity: Severity
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return str(self.faults[0])
        return f"{self.title} First: {'; '.join(fault.place for fault in self.faults[:FIRST])}"

    @property
    def title(self) -> str:
        """Their count, what is wrong, and what to do."""
        about = KINDS.get(self.kind)
        means, remedy = (self.kind, "") if about is None else (about.means, f" {about.remedy}.")
        return f"{self.severity}: {len(self.faults)} {means}.{remedy} [{self.kind}]"

    def lines(self, most: int = FIRST) -> list[str]:
        """List the faults.

        Args:
            most: how many at most; all where it is 0.

        Returns:
            A line per fault; if there are more than `most`, their title first, and their number last.
        """
        if most == 0 or len(self.faults) <= most:
            return [str(fault) for fault in self.faults]
        shown = [f"  {fault}" for fault in self.faults[:most]]
        return [self.title, *shown, f"  ... and {len(self.faults) - most} more of this kind"]


def group_faults(faults: Iterable[Fault]) -> list[FaultGroup]:
    """Group faults by severity, errors first, and kind, the most frequent first."""
    groups: dict[tuple[Severity, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        groups[fault.severity, fault.kind].append(fault)
    order = list(Severity)
    found = [FaultGroup(kind, severity, tuple(each)) for (severity, kind), each in groups.items()]
    return sorted(found, key=lambda group: (order.index(group.severity), -len(group.faults)))


def describe_faults(faults: Iterable[Fault]) -> list[str]:
    """Describe the faults met in reading data: a line per kind, and where all are listed."""
    groups = group_faults(faults)
    more = any(len(group.faults) > 1 for group in groups)
    return [*map(str, groups), *(["`lehr data check` lists every one of them."] if more else [])]


def count_kinds(faults: Iterable[Fault]) -> str:
    """Count the faults of each kind, most frequent first, as one line."""
    counted = Counter(fault.kind for fault in faults)
    return ", ".join(f"{count} {kind}" for kind, count in counted.most_common())

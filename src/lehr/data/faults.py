"""The vocabulary of faults: every kind of them, what to do about it, and many of one kind as one line."""

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
        means: what is wrong, said of many at once, e.g. "images without a label file, taken as background".
        remedy: what to do.
    """

    means: str
    remedy: str


KINDS: dict[str, FaultKind] = {
    "absent-entry": FaultKind("entries of the data YAML without an image", "Correct or remove them"),
    "absent-split": FaultKind("splits that are named but have no image", "Correct the entry, or remove it"),
    "ambiguous-image": FaultKind(
        "images whose file or labels could be either of two, skipped", "Give each a name and an id of its own"
    ),
    "box-form": FaultKind(
        "boxes in another form than centre and size in shares of the image, read as said",
        "Compare a few with their images; nothing needs to be done if they lie right",
    ),
    "box-outside-image": FaultKind(
        "boxes that reach outside their image, cut at its edge, or skipped where nothing is left",
        "Correct them; if there are many, the labels may belong to other images or be in other units",
    ),
    "box-without-area": FaultKind("boxes without area", "Redraw them"),
    "categories-differ": FaultKind(
        "COCO JSON whose categories differ from those of the first, matched by name", "Name them alike in all"
    ),
    "class-list": FaultKind("lists of classes", "Name in them all classes that occur"),
    "class-names": FaultKind("names of classes instead of their ids, read as ids", "Nothing needs to be done"),
    "class-out-of-range": FaultKind("classes that the data set does not name", "Correct the labels, or 'names'"),
    "damaged-image": FaultKind(
        "images that are damaged, used as far as they decode", "Look at them, and replace or remove them"
    ),
    "dangling-link": FaultKind(
        "links to images that are not there", "Fetch the data (`git annex get`, `dvc pull`), or remove the links"
    ),
    "deep-image": FaultKind(
        "images of more than 8 bits, scaled to 8 by the bits that each uses",
        "Nothing needs to be done where all use as many; `lehr data check` names those that differ",
    ),
    "depth-differs": FaultKind(
        "images of more than 8 bits that use other bits than most, so that they are scaled otherwise",
        "Write all with 8 bits, scaled alike",
    ),
    "crowd": FaultKind("places with crowd regions, not trained on or evaluated", "Nothing needs to be done"),
    "deleted-object": FaultKind("files with objects marked as deleted, not used", "Nothing needs to be done"),
    "difficult": FaultKind(
        "objects marked as difficult, trained on but not evaluated", "Give --difficult ignore to train without them"
    ),
    "doubtful-labels": FaultKind(
        "labels that could mean several things, not used", "Write them as 'class centre-x centre-y width height'"
    ),
    "duplicate-box": FaultKind("boxes given twice, used once", "Remove one of each"),
    "duplicate-id": FaultKind("COCO JSON with ids that are given twice", "Export the data set anew"),
    "duplicate-image": FaultKind("images that are in a split twice", "Remove one of each"),
    "empty-split": FaultKind("splits without a usable image", "Correct the entry in the data YAML, or remove it"),
    "encoding": FaultKind("files in another encoding than UTF-8, read all the same", "Save them as UTF-8"),
    "extra-column": FaultKind("columns behind the box, ignored", "Nothing needs to be done"),
    "grouping-category": FaultKind("categories that only group others, dropped", "Nothing needs to be done"),
    "id-as-text": FaultKind(
        "COCO JSON with ids that are text in one place and numbers in another, matched as text",
        "Nothing needs to be done",
    ),
    "in-two-splits": FaultKind("images that are in two splits", "Remove each from one of them"),
    "key-name": FaultKind("keys that are read as others", "Rename them, for other programs"),
    "keypoints": FaultKind("labels with keypoints, whose boxes are used", "Nothing needs to be done"),
    "label-encoding": FaultKind("label files in other encodings than UTF-8, read", "Nothing needs to be done"),
    "label-header": FaultKind("headers in label files, passed over", "Nothing needs to be done"),
    "label-without-image": FaultKind(
        "label files without an image, not used", "Restore the images, or remove the label files"
    ),
    "label-writing": FaultKind("other ways of writing numbers, read", "Nothing needs to be done"),
    "list-form": FaultKind("lists of images that are read otherwise than they stand", "Compare what is read with them"),
    "malformed-line": FaultKind("labels that cannot be understood, skipped", "Correct or remove them"),
    "merged-image": FaultKind(
        "COCO JSON that list an image more than once, merged", "Give different images different names"
    ),
    "missing-label": FaultKind(
        "images without a label file, taken as background",
        "Restore the label files; write an empty one where there is nothing to label",
    ),
    "name-as-written": FaultKind("class names that other readers of YAML change", "Put them in quotes"),
    "names-form": FaultKind("class names in an unusual form", "Write names as a list, or as a map from number to name"),
    "most-labels-missing": FaultKind(
        "splits most of whose images have no label file, and count as background",
        "Restore the label files; write empty ones where there is nothing to label",
    ),
    "no-image": FaultKind(
        "files beside the images that are none", "Nothing needs to be done if they are not to be used"
    ),
    "no-source": FaultKind("names of a list that name nothing to read", "Correct the list, or remove them"),
    "no-splits": FaultKind("data sets that are not divided", "Divide them: lehr data split SOURCE --out FOLDER"),
    "other-place": FaultKind("paths that were found elsewhere than they say", "Correct them if others are meant"),
    "names-other-image": FaultKind(
        "labels that name another image than that of their own name, used for the latter", "Compare a few of them"
    ),
    "other-size": FaultKind(
        "images of another size than their labels are for, skipped",
        "Restore the images that were labelled, or export the labels anew",
    ),
    "other-task": FaultKind("data for another task than detection", "Nothing needs to be done if boxes are wanted"),
    "other-xml": FaultKind("XML files that are no annotations, passed over", "Nothing needs to be done"),
    "polygon": FaultKind("polygons, whose bounding boxes are used", "Nothing needs to be done"),
    "rotated-box": FaultKind(
        "boxes that are turned, around which upright ones are used", "Label upright boxes where these are too large"
    ),
    "same-name": FaultKind(
        "images that share a name with one whose label file is not theirs, not used", "Give each a name of its own"
    ),
    "similar-classes": FaultKind(
        "classes whose names are nearly the same, kept apart", "Give them one name where they are one"
    ),
    "size-disagrees": FaultKind(
        "labels that state another size than their image has", "Export the labels anew, or restore the image"
    ),
    "too-large-image": FaultKind("images that are too large to be read", "Reduce them, or cut them into tiles"),
    "too-many-objects": FaultKind(
        "images with more objects than are read, skipped", "Correct them, cut them into tiles, or set LEHR_MAX_OBJECTS"
    ),
    "split-made": FaultKind(
        "data sets whose splits are not given as they are used", "Write a list for each, or use `lehr data split`"
    ),
    "swapped-corners": FaultKind(
        "files with boxes whose corners are exchanged, read all the same", "Compare a few with their images"
    ),
    "truncated-image": FaultKind("images that are cut off", "Copy them again or remove them"),
    "turned-image": FaultKind(
        "COCO JSON of images that EXIF turns", "Look at some, or store the images upright and label them anew"
    ),
    "two-formats": FaultKind("places that could be of two formats", "Name the format: --data FORMAT:SOURCE"),
    "unknown-class-name": FaultKind(
        "names of classes that the data set does not have, where ids must stand", "Write the ids, or correct 'names'"
    ),
    "unread-image": FaultKind(
        "images of formats that are not read here",
        f"Install their decoder ({pip_install('formats')} in your clone of Lehr) or convert them",
    ),
    "unreadable-folder": FaultKind("folders that cannot be read", "Give yourself access, or remove them"),
    "unused-image": FaultKind("images in no split, not used", "Add them to a list, or move them into a split's folder"),
    "unreadable-image": FaultKind("images that cannot be read", "Replace or remove them"),
    "unreadable-label": FaultKind("label files that cannot be read", "Restore or remove them"),
    "unreadable-video": FaultKind("videos that cannot be read", "Replace or remove them"),
    "unused-key": FaultKind("keys that are not used", "Nothing needs to be done if they are of other programs"),
    "unusual-box": FaultKind(
        "COCO JSON with boxes that are not written as x, y, width, height", "See whether they are read right"
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
            A line a fault; where there are more than `most`, their title first, and their number last.
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
    """Describe the faults that a command met in reading its data: a line a kind, and where all of them are listed."""
    groups = group_faults(faults)
    more = any(len(group.faults) > 1 for group in groups)
    return [*map(str, groups), *(["`lehr data check` lists every one of them."] if more else [])]


def count_kinds(faults: Iterable[Fault]) -> str:
    """Count the faults of each kind, most frequent first, as one line."""
    counted = Counter(fault.kind for fault in faults)
    return ", ".join(f"{count} {kind}" for kind, count in counted.most_common())

"""Annotations of a VOC folder, read, and what is to be said of all of them together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lehr.data.formats.voc_files import fold
from lehr.data.formats.voc_objects import VocLabels, read_objects
from lehr.data.formats.voc_xml import THREE_BYTES, XmlProblem, XmlText, parse_xml, read_xml
from lehr.data.images import is_image
from lehr.data.text_files import LEGACY, likely_encodings
from lehr.data.threads import read_many
from lehr.runtime.counted import counted
from lehr.runtime.reading import read_start
from lehr.sample import Fault, Severity

FORMS = {
    "decimal-comma": (
        "label-writing",
        "has decimal commas, as {files} do ({count} numbers); they are read accordingly",
    ),
    "swapped-corners": (
        "swapped-corners",
        "has boxes whose xmax or ymax is below xmin or ymin, as {files} do ({count} boxes); they are swapped",
    ),
    "polygon": ("polygon", "has polygons and no <bndbox>, as {files} do; the bounding boxes are used"),
    "deleted": ("deleted-object", "has objects marked as deleted, as {files} do; they are not used"),
    "nested": ("label-writing", "has its objects deeper than VOC has them, as {files} do; they are read anyway"),
    "flag": ("label-writing", "has a <difficult> that is neither 0 nor 1, as {files} do; it is read as 0"),
}
"""Kind and message of what was read otherwise than it stands; warnings, but for those that lose nothing."""
NOTES = frozenset({"deleted", "nested"})


@dataclass(slots=True)
class Annotation:
    """An annotation as read.

    Attributes:
        labels: its content; None if it cannot be used.
        problem: why it cannot.
        encoding: in which it was read, where that is a guess; else empty.
        short_words: whether it is UTF-8 that says so nowhere, with no character that older encodings would not have.
        note: how it was read otherwise than it stands.
    """

    labels: VocLabels | None = None
    problem: Fault | None = None
    encoding: str = ""
    short_words: bool = False
    note: str = ""


@dataclass(slots=True)
class Annotations:
    """Annotations by file, each read once."""

    found: dict[Path, Annotation] = field(default_factory=dict)

    def named_in(self, path: Path) -> tuple[str, str]:
        """The names of image and folder in an annotation; empty if they are not there."""
        labels = self.read([path])[path].labels
        return ("", "") if labels is None else (_bare(labels.file_name), labels.folder)

    def read(self, paths: Iterable[Path]) -> Mapping[Path, Annotation]:
        """Read annotations."""
        new = [path for path in paths if path not in self.found]
        self.found.update(zip(new, read_many(read_annotation, new), strict=True))
        return self.found


def read_annotation(path: Path) -> Annotation:
    """Read an annotation; what is wrong with it is part of the result."""
    try:
        text = read_xml(path)
        root, note = parse_xml(text)
        labels = read_objects(root, text.content, text.line)
        if root.tag != "annotation" and not labels.names:
            raise XmlProblem(_other_kind(root.tag))
    except XmlProblem as problem:
        return Annotation(problem=Fault("unreadable-label", path, problem.reason, problem.line))
    note = "; ".join(filter(None, (text.note, note)))
    if text.content.isascii():
        return Annotation(labels, note=note)
    encoding = "" if text.certain else text.encoding
    return Annotation(labels, None, encoding, _is_short(text), note)


def _is_short(text: XmlText) -> bool:
    if text.encoding != "UTF-8" or text.note or "encoding" in text.content.partition("?>")[0]:
        return False
    return THREE_BYTES.search(text.content.encode()) is None


def _other_kind(tag: object) -> str:
    known = {
        "annotations": "CVAT's, which holds all images in one file",
        "dataset": "dlib's",
        "doc": "that of another labelling tool",
    }
    whose = known.get(str(tag), "another format's")
    return f"is not a Pascal VOC annotation: its root is <{tag}>, {whose}. Export it as Pascal VOC, COCO or YOLO."


def refuse_guessed_names(annotations: Mapping[Path, Annotation], used: Iterable[Path]) -> None:
    """Refuse annotations whose class names would be others in another encoding.

    Args:
        annotations: as read.
        used: those of images.
    """
    used = list(used)
    guessed = [path for path in used if annotations[path].encoding and _has_foreign_names(annotations[path])]
    if not guessed:
        return
    guessed += [path for path in used if annotations[path].short_words and _has_foreign_names(annotations[path])]
    raw = {path: _raw_names(annotations[path]) for path in guessed}
    likely = likely_encodings(b" ".join(sorted({name for names in raw.values() for name in names})))[:3]
    likely = likely or [annotations[guessed[0]].encoding]
    for path in guessed:
        codecs = {name: LEGACY[name][0] for name in likely if name in LEGACY}
        readings = [
            f"{name} ({', '.join(word.decode(codec, 'replace') for word in raw[path])})"
            for name, codec in codecs.items()
        ]
        reason = (
            f"is not UTF-8 and declares no encoding, so its class names cannot be read with certainty; it looks like "
            f"{' or '.join(readings)}. Save it as UTF-8, or begin it with <?xml version='1.0' encoding='{likely[0]}'?>."
        )
        annotations[path].problem = Fault("unreadable-label", path, reason)
        annotations[path].labels = None


def _raw_names(annotation: Annotation) -> list[bytes]:
    """The class names that are not ASCII, as their file has them."""
    labels = annotation.labels
    names = sorted({name for name in labels.names if not name.isascii()}) if labels else []
    codec = LEGACY[annotation.encoding][0] if annotation.encoding in LEGACY else "utf-8"
    return [name.encode(codec, "replace") for name in names]


def _has_foreign_names(annotation: Annotation) -> bool:
    return annotation.labels is not None and any(not name.isascii() for name in annotation.labels.names)


def faults_of_all(annotations: Mapping[Path, Annotation], images: Sequence[tuple[Path, Path]]) -> list[Fault]:
    """Faults and notes of the annotations that are used, those of one form as one.

    Args:
        annotations: as read.
        images: image and annotation of each that is used.
    """
    faults: list[Fault] = []
    forms: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    notes: dict[str, list[Path]] = defaultdict(list)
    others: list[tuple[Path, Path]] = []
    for image, path in images:
        annotation = annotations[path]
        if annotation.problem is not None:
            faults.append(annotation.problem)
        labels = annotation.labels
        if labels is None:
            continue
        faults += [Fault(kind, path, message, line or None) for kind, message, line in labels.faults]
        for form, count in labels.forms.items():
            forms[form].append((path, count))
        if annotation.note:
            notes[annotation.note].append(path)
        if annotation.encoding:
            notes[f"looks like {annotation.encoding}; nothing that is used depends on it"].append(path)
        if labels.file_name and _names_other(labels.file_name, image):
            others.append((path, image))
    for form, places in forms.items():
        kind, message = FORMS[form]
        message = message.format(files=_files(len(places)), count=sum(count for _, count in places))
        severity = Severity.NOTE if form in NOTES else Severity.WARNING
        faults.append(Fault(kind, places[0][0], message, severity=severity))
    for note, paths in notes.items():
        message = f"{note}; it is read accordingly" + (f", as are {_files(len(paths) - 1)}" if len(paths) > 1 else "")
        faults.append(Fault("label-encoding", paths[0], message, severity=Severity.WARNING))
    if others:
        path, image = others[0]
        named = annotations[path].labels
        message = (
            f"names '{named.file_name if named else ''}', as {_files(len(others))} name other images than those of "
            f"their own names; each belongs to the image of its own name ({image.name})"
        )
        faults.append(Fault("names-other-image", path, message, severity=Severity.WARNING))
    return faults


def _files(count: int) -> str:
    return counted(count, "file")


def _bare(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _names_other(named: str, image: Path) -> bool:
    """Return whether a name in an annotation is that of another image, whatever the suffix."""
    bare = _bare(named)
    if bare in (image.name, image.stem):
        return False
    stem = bare.rpartition(".")[0] if is_image(Path(bare)) else bare
    return fold(stem) not in (fold(image.stem), fold(image.name))


def faults_of_unused(paths: Sequence[Path]) -> list[Fault]:
    """Faults of XML files that belong to no image; those that are not annotations are only counted."""
    faults: list[Fault] = []
    others: list[Path] = []
    for path in paths:
        try:
            head = read_start(path, 4096).replace(b"\0", b"").lower()
        except OSError:
            head = b""
        if b"annotation>" in head or b"<object" in head or b"<annotation" in head:
            message = "no image of this name: it is not used. Restore the image, or remove the file"
            faults.append(Fault("label-without-image", path, message, severity=Severity.WARNING))
        else:
            others.append(path)
    if others:
        message = f"is not an annotation, as {_files(len(others))} are not; they are skipped"
        faults.append(Fault("other-xml", others[0], message, severity=Severity.NOTE))
    return faults

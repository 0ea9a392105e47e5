"""CVAT for images: all images of a task in one XML, with boxes and other shapes in pixels counted from 0."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from lehr.data.find_images import scan_images
from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.voc_lists import SPLIT_OF, ImageNames
from lehr.data.formats.voc_objects import Rotated, VocLabels, class_name
from lehr.data.formats.voc_samples import make_samples, read_headers
from lehr.data.formats.voc_xml import XmlProblem, XmlText, parse_xml, read_xml
from lehr.data.limits import TASK_XML_BYTES
from lehr.data.split import DEFAULT_RATIOS, split_samples
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.reading import read_start
from lehr.sample import SPLITS, Dataset, Fault, Sample, Severity

NO_BOX = ("polyline", "points", "cuboid", "skeleton")
"""Shapes that have no box of their own."""


@dataclass(slots=True)
class _Task:
    """Contents of one or several XML files about images.

    Attributes:
        labels: of each image, by its path.
        split_of: the subset of each image; empty if it has none.
        xml_of: the XML of each image.
        declared: class names in the order of the task.
        left: shapes that have no box, by kind.
        surrounded: shapes whose bounding box is used, by kind.
        faults: what is wrong.
    """

    labels: dict[Path, VocLabels] = field(default_factory=dict)
    split_of: dict[Path, str] = field(default_factory=dict)
    xml_of: dict[Path, Path] = field(default_factory=dict)
    declared: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    surrounded: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)


def find_cvat(source: str) -> list[Path]:
    """The XML files of CVAT that a source is or holds; none if it has no such."""
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return [path] if path.suffix.lower() == ".xml" and _is_cvat(path) else []
        files = sorted(each for each in path.iterdir() if each.suffix.lower() == ".xml") if path.is_dir() else []
        return [each for each in files[:20] if not each.name.startswith(".") and _is_cvat(each)]
    except OSError:
        return []


def _is_cvat(path: Path) -> bool:
    return b"<annotations" in read_start(path, 1024)


def load_cvat(files: Sequence[Path], source: str, seed: int = 0) -> Dataset:
    """Read what CVAT exports as 'CVAT for images'.

    Splits are CVAT's subsets, or XML files named after splits; without either, 30% of the images validate, by the seed.

    Raises:
        InputError: an XML cannot be read, holds a video's tracks, or names no image that is there.
    """
    folder = files[0].parent
    scan = scan_images(folder)
    names = ImageNames(folder, scan.images, ())
    task = _Task(faults=list(scan.faults))
    for path in files:
        _read_task(path, names, task)
    if not task.labels:
        first = next((str(fault) for fault in task.faults if fault.kind == "unreadable-image"), "it names no image")
        raise InputError(f"{files[0]}: none of its images is in {folder}: {first}")
    images = list(task.labels)
    headers, found = read_headers(images)
    usable = [image for image in images if image in headers]
    contents = [task.labels[image] for image in usable]
    occurring = sorted({name for labels in contents for name in labels.names})
    classes = tuple(dict.fromkeys((*task.declared, *occurring)))
    xml_of = [task.xml_of[image] for image in usable]
    samples, wrong = make_samples(folder, usable, contents, headers, xml_of, classes)
    splits, note = _divided(source, samples, task.split_of, seed)
    faults = (*task.faults, *_shape_faults(files[0], task), *found, *wrong, *note)
    return Dataset(source, classes, {split: splits[split] for split in SPLITS if split in splits}, faults)


def _read_task(path: Path, names: ImageNames, task: _Task) -> None:
    """Read an XML.

    Raises:
        InputError: it cannot be read, or holds a video's tracks.
    """
    try:
        text = read_xml(path, TASK_XML_BYTES)
        root, _ = parse_xml(text)
    except XmlProblem as problem:
        place = str(path) if problem.line is None else f"{path}:{problem.line}"
        raise InputError(f"{place}: {problem.reason}") from None
    if root.find("track") is not None:
        raise InputError(
            f"{path}: holds the tracks of a video. Export the task as 'CVAT for images 1.1', COCO or YOLO, with its "
            "images."
        )
    task.faults += _encoding_faults(path, text, root)
    named = (label.findtext("name") for label in root.iter("label") if not label.findtext("parent"))
    task.declared += [name for name in map(class_name, named) if name and name not in task.declared]
    for element in root.iter("image"):
        given = element.get("name") or ""
        found = names.find(given)
        if len(found) != 1:
            several = " or ".join(map(str, found[:3]))
            kind, why = ("ambiguous-image", f"could be {several}") if found else ("unreadable-image", "is not there")
            task.faults.append(Fault(kind, path, f"names the image '{given}', which {why}. Correct or restore it"))
            continue
        image = found[0]
        if image in task.labels:
            message = f"names the image '{given}' once more; the objects of both are used"
            task.faults.append(Fault("merged-image", path, message, severity=Severity.WARNING))
        labels = task.labels.setdefault(image, VocLabels())
        task.xml_of[image] = path
        task.split_of[image] = SPLIT_OF.get((element.get("subset") or path.stem).lower(), "")
        labels.size = (_number(element, "width"), _number(element, "height"))
        for shape in element:
            _read_shape(shape, labels, path, given, task)


def _encoding_faults(path: Path, text: XmlText, root: Element) -> list[Fault]:
    """Say in which encoding an XML is read that is in another than it declares.

    Raises:
        InputError: names depend on an encoding that is a guess.
    """
    if text.certain and not text.note:
        return []
    said = text.note or f"looks like {text.encoding}, without saying so"
    names = {name for each in root.iter() for name in (each.get("label"), each.get("name"), each.findtext("name"))}
    other = sorted(name for name in names if name and not name.isascii())
    if other and not text.certain:
        raise InputError(f"{path}: {said}, by which it has the names {', '.join(other[:3])}. Save it as UTF-8.")
    return [Fault("encoding", path, f"{said}; it is read accordingly", severity=Severity.WARNING)]


def _read_shape(shape: Element, labels: VocLabels, path: Path, image: str, task: _Task) -> None:
    if shape.tag not in ("box", "polygon", "ellipse", "mask"):
        if shape.tag in NO_BOX or (shape.tag != "tag" and shape.get("label") is not None):
            task.left[str(shape.tag)] += 1
        return
    name = class_name(shape.get("label"))
    box = _box(shape)
    if not name or not all(map(math.isfinite, box)):
        message = f"image '{image}' has a <{shape.tag}> without a label or without its numbers; it is skipped"
        task.faults.append(Fault("malformed-line", path, message))
        return
    if shape.tag != "box":
        task.surrounded[shape.tag] += 1
    turn = _number(shape, "rotation", 0.0) % 360
    if turn:
        x1, y1, x2, y2 = box
        turned = Rotated(len(labels.boxes), (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, turn, degrees=True)
        labels.rotated.append(turned)
    labels.boxes.append(box)
    labels.names.append(name)
    labels.difficult.append(False)
    labels.lines.append(0)


def _box(shape: Element) -> tuple[float, float, float, float]:
    """The bounding box of a shape, xyxy; NaN if a number is missing."""
    if shape.tag == "box":
        x1, y1, x2, y2 = (_number(shape, side) for side in ("xtl", "ytl", "xbr", "ybr"))
        return (x1, y1, x2, y2)
    if shape.tag == "ellipse":
        x, y, rx, ry = (_number(shape, each) for each in ("cx", "cy", "rx", "ry"))
        return (x - rx, y - ry, x + rx, y + ry)
    if shape.tag == "mask":
        x, y, width, height = (_number(shape, each) for each in ("left", "top", "width", "height"))
        return (x, y, x + width, y + height)
    try:
        points = [tuple(map(float, point.split(","))) for point in (shape.get("points") or "").split(";")]
        xs, ys = zip(*points, strict=True)
    except ValueError:
        return (math.nan,) * 4
    return (min(xs), min(ys), max(xs), max(ys))


def _number(element: Element, key: str, missing: float = math.nan) -> float:
    try:
        return float(element.get(key, missing))
    except ValueError:
        return math.nan


def _shape_faults(path: Path, task: _Task) -> Iterator[Fault]:
    if task.surrounded:
        shapes = " and ".join(f"{count} <{tag}>" for tag, count in task.surrounded.items())
        message = f"has {shapes}, whose bounding boxes are used"
        yield Fault("polygon", path, message, severity=Severity.WARNING)
    if task.left:
        shapes = " and ".join(f"{count} <{tag}>" for tag, count in task.left.items())
        yield Fault("malformed-line", path, f"has {shapes}, which are read as no box; they are skipped. Draw boxes")


def _divided(
    source: str, samples: Mapping[Path, Sample], split_of: Mapping[Path, str], seed: int
) -> tuple[dict[str, list[Sample]], list[Fault]]:
    splits: dict[str, list[Sample]] = {}
    for image, sample in samples.items():
        splits.setdefault(split_of[image], []).append(sample)
    together = splits.pop("trainval", []) + splits.pop("", [])
    if not together and ("val" in splits or "train" not in splits):
        return splits, []
    if "val" in splits:
        splits["train"] = splits.get("train", []) + together
        message = (
            f"has {counted(len(together), 'image')} in no subset for a split; "
            f"{'it trains' if len(together) == 1 else 'they train'}"
        )
        return splits, [Fault("split-made", Path(source), message, severity=Severity.NOTE)]
    together = splits.get("train", []) + together
    splits |= split_samples(together, DEFAULT_RATIOS, seed)
    message = (
        f"has no subset for val: of {counted(len(together), 'image')} {len(splits['val'])} validate, drawn by the seed"
    )
    return splits, [Fault("split-made", Path(source), message, severity=Severity.NOTE)]


def _recognise(source: str) -> list[str]:
    files = find_cvat(source)
    return [f"it is CVAT's XML ({files[0].name})"] if files else []


def _load(source: str, seed: int) -> Dataset:
    files = find_cvat(source)
    if not files:
        raise InputError(f"{source}: is not XML of 'CVAT for images', and no folder with one.")
    return load_cvat(files, source, seed)


CVAT = DataFormat("cvat", _recognise, _load)

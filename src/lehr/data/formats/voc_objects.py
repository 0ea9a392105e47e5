"""The objects of a VOC annotation: their boxes in whatever form, names and flags."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

SIDES = ("xmin", "ymin", "xmax", "ymax")
OBJECT = re.compile(r"<(?:[\w.-]+:)?object[\s/>]", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,(?:\d{1,2}|\d{4,})\s*")
"""A number with a comma for its point; one with three digits behind it could mean thousands."""
TRUE = frozenset({"1", "true", "yes", "y", "t", "on"})
FALSE = frozenset({"", "0", "false", "no", "n", "f", "off", "none", "unspecified", "unknown"})


@dataclass(slots=True)
class Rotated:
    """A box that is turned about its centre, pixels.

    Attributes:
        index: of the object in its file.
        degrees: whether `angle` is surely in degrees; else it is in radians, as roLabelImg writes it, or in degrees.
    """

    index: int
    x: float
    y: float
    width: float
    height: float
    angle: float
    degrees: bool


@dataclass(slots=True)
class VocLabels:
    """The content of an annotation.

    Attributes:
        boxes: xyxy, pixels of the image as labelled.
        names: class names.
        difficult: the flag of each object.
        lines: line of each object, from 1; 0 if unknown.
        size: width and height as stated; NaN if they are not.
        file_name: the image as named in it.
        folder: its folder as named in it.
        rotated: rotated boxes; those in `boxes` are not yet.
        forms: how often something was read otherwise than it stands, by kind of fault.
        faults: kind, message and line of what was skipped or looks wrong.
    """

    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    difficult: list[bool] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    size: tuple[float, float] = (math.nan, math.nan)
    file_name: str = ""
    folder: str = ""
    rotated: list[Rotated] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str, int]] = field(default_factory=list)


def read_objects(root: Element, content: str, first_line: int = 1) -> VocLabels:
    """Read the objects of an annotation.

    Args:
        root: its root, without namespaces.
        content: its text, for lines.
        first_line: the line of the file at which `content` begins.
    """
    labels = VocLabels(file_name=_text(root, "filename") or _text(root, "path"), folder=_text(root, "folder"))
    labels.size = _size(root.find("size"))
    elements = root.findall("object")
    if not elements and "bndbox" in content:
        inside_parts = {each for part in root.iter("part") for each in part.iter()}
        elements = [
            each
            for each in root.iter()
            if each.find("bndbox") is not None and each.find("name") is not None and each not in inside_parts
        ]
        labels.forms.update(["nested"] if elements else [])
    for element, line in zip(elements, _lines(content, len(elements), first_line), strict=True):
        if _flag(element.findtext("deleted"), labels):  # LabelMe keeps them
            labels.forms["deleted"] += 1
            continue
        box = _box(element, labels, line)
        name = class_name(element.findtext("name"))
        if not name:
            labels.faults.append(("malformed-line", "an object without a name; it is skipped", line))
        elif isinstance(box, str):
            labels.faults.append(("malformed-line", f"the object '{name}' {box}; it is skipped", line))
        else:
            labels.boxes.append(box)
            labels.names.append(name)
            labels.difficult.append(_flag(element.findtext("difficult"), labels))
            labels.lines.append(line)
            if labels.rotated and labels.rotated[-1].index == -1:
                labels.rotated[-1].index = len(labels.boxes) - 1
            continue
        if labels.rotated and labels.rotated[-1].index == -1:
            labels.rotated.pop()
    return labels


def class_name(text: str | None) -> str:
    """A class name without the blanks around it, with single blanks in it and its letters composed."""
    if text is None:
        return ""
    if text.isascii() and " " not in text and "\n" not in text and "\t" not in text:
        return text.strip()
    return " ".join(unicodedata.normalize("NFC", text).split())


def bounding_boxes(rotated: Sequence[Rotated], degrees: bool) -> NDArray[np.float64]:
    """Axis-parallel boxes around rotated ones, xyxy (n, 4).

    Args:
        rotated: the turned boxes.
        degrees: whether angles whose unit is not known are in degrees.
    """
    centre = np.array([(box.x, box.y) for box in rotated], np.float64).reshape(-1, 2)
    half = np.array([(box.width / 2, box.height / 2) for box in rotated], np.float64).reshape(-1, 2)
    angle = np.array([math.radians(b.angle) if b.degrees or degrees else b.angle for b in rotated], np.float64)
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    reach = np.stack((half[:, 0] * cos + half[:, 1] * sin, half[:, 0] * sin + half[:, 1] * cos), 1)
    return np.concatenate((centre - reach, centre + reach), 1)


def number(text: str | None, labels: VocLabels) -> float:
    """A number, with a decimal comma too where nothing else can be meant.

    Raises:
        ValueError: it is none, or not finite.
    """
    if text is None:
        raise ValueError
    if DECIMAL_COMMA.fullmatch(text):
        labels.forms["decimal-comma"] += 1
        text = text.replace(",", ".")
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError
    return value


def _text(root: Element, tag: str) -> str:
    return (root.findtext(tag) or "").strip()


def _lines(content: str, count: int, first: int) -> list[int]:
    """Lines of the objects; zeros if there are others, such as in comments."""
    starts = [match.start() for match in OBJECT.finditer(content)]
    if len(starts) != count:
        return [0] * count
    lines, line, at = [], first, 0
    for start in starts:
        line += content.count("\n", at, start)
        at = start
        lines.append(line)
    return lines


def _size(size: Element | None) -> tuple[float, float]:
    if size is None:
        return (math.nan, math.nan)
    try:
        width, height = float(size.findtext("width") or 0), float(size.findtext("height") or 0)
    except ValueError:
        return (math.nan, math.nan)
    return (width, height) if width > 0 and height > 0 else (math.nan, math.nan)


def _flag(text: str | None, labels: VocLabels) -> bool:
    if text is None or text == "0":
        return False
    word = text.strip().lower()
    if word in TRUE or word in FALSE:
        return word in TRUE
    try:
        return float(word) != 0
    except ValueError:
        labels.forms["flag"] += 1
        return False


def _box(element: Element, labels: VocLabels, line: int) -> tuple[float, float, float, float] | str:
    """The box of an object, or why it has none."""
    box = element.find("bndbox")
    if box is None:
        return _other_shape(element, labels)
    given = {child.tag: child.text for child in box}
    try:
        x1, y1, x2, y2 = (number(given.get(side), labels) for side in SIDES)
    except ValueError:
        shown = ", ".join(f"{side} {(given.get(side) or 'missing').strip()}" for side in SIDES)
        return f"has no four numbers in <bndbox> ({shown})"
    if x2 < x1 or y2 < y1:
        labels.forms["swapped-corners"] += 1
        x1, y1, x2, y2 = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    if x2 == x1 or y2 == y1:
        shown = f"{x1:g}, {y1:g}, {x2:g}, {y2:g}"
        message = f"the box {shown} is a line or a point, probably a slip; it is read as one pixel. Redraw it"
        labels.faults.append(("box-without-area", message, line))
    # VOC counts pixels from 1 and names the first and the last one of a box.
    found = (x1 - 1, y1 - 1, x2, y2)
    angle = _rotation(element)
    if angle:
        x, y, width, height = (x1 - 1 + x2) / 2, (y1 - 1 + y2) / 2, x2 - x1 + 1, y2 - y1 + 1
        labels.rotated.append(Rotated(-1, x, y, width, height, angle, degrees=True))
    return found


def _rotation(element: Element) -> float:
    """Degrees by which CVAT turned a rectangle whose <bndbox> it writes as before; 0 if it did not."""
    attributes = element.find("attributes")
    if attributes is None:
        return 0.0
    for attribute in attributes:
        if (attribute.findtext("name") or "").strip().lower() == "rotation":
            try:
                return float(attribute.findtext("value") or 0) % 360
            except ValueError:
                return 0.0
    return 0.0


def _other_shape(element: Element, labels: VocLabels) -> tuple[float, float, float, float] | str:
    """The bounding box of an object without <bndbox>."""
    turned = element.find("robndbox")
    if turned is not None:
        try:
            x, y, w, h, angle = (number(turned.findtext(tag), labels) for tag in ("cx", "cy", "w", "h", "angle"))
        except ValueError:
            return "has no five numbers in <robndbox>"
        labels.rotated.append(Rotated(-1, x, y, w, h, angle, degrees=False))
        return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    for tag in ("polygon", "points", "segmentation"):
        shape = element.find(tag)
        if shape is not None:
            try:
                points = _points(shape, labels)
            except ValueError:
                return f"has no pairs of numbers in <{tag}>"
            labels.forms["polygon"] += 1
            xs, ys = points[::2], points[1::2]
            return (min(xs), min(ys), max(xs), max(ys))
    if element.find("part") is not None:
        return "has boxes of its parts alone, but no <bndbox> of its own"
    return "has no <bndbox>"


def _points(shape: Element, labels: VocLabels) -> list[float]:
    """Points x, y, x, y, ... given as x1, y1, x2, y2, ... or as <pt><x/><y/></pt>.

    Raises:
        ValueError: they are not.
    """
    if any(len(child) for child in shape):
        given = [child.findtext(axis) for child in shape if child.find("x") is not None for axis in ("x", "y")]
    else:
        by_tag = {child.tag: child.text for child in shape}
        given = [by_tag.get(f"{axis}{i}") for i in range(1, len(by_tag) // 2 + 1) for axis in ("x", "y")]
    values = [number(text, labels) for text in given]
    if len(values) < 4:
        raise ValueError
    return values

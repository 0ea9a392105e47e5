"""Files changed byte by byte, and the boxes that the numbers of such a file state, read the slow, obvious way."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from xml.etree import ElementTree

import numpy as np
from benchmarks.fuzz.painted import PAINTINGS, PaintedSet
from numpy.typing import NDArray

Explains = Callable[[str, str, NDArray[np.float64]], bool]

TOKENS = [
    *(b": ", b"- ", b"[", b"]", b"{", b"}", b"\n", b"\r\n", b"\t", b"'", b'"', b"&a ", b"*a", b"!!python/none ", b", "),
    *(b"\xff\xfe", b"\x00", b"~", b"null", b"NaN", b"true", b"\\", b"../", b"%", b"@", b"| ", b"> ", b"---\n", b"?"),
    *(b"#", b"\xe8\xc3", b"999999999999", b"0x", b".inf", b"1e999", b"-1", b"-", b".", b"e", b"<<: ", b"$X", b"~z/"),
    *(b"\xef\xbb\xbf", b"[[", b"*", b"\x85", b"y" * 300, b"y/" * 3000, b"\xe2\x80\xa8", b"<", b"/>", b"&amp;", b"&x;"),
    *(b"<!--", b"-->", b"]]>", b"http://a/", b"C:\\x\\", b"images/", b"train", b"val", b"1", b"0", b" ", b"9" * 400),
    *(b"id", b"name", b"\x1a", b"[" * 3000, b"<a>" * 3000, b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b";", b"_", b"="),
]
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Insert, remove, replace, repeat or exchange a few pieces, or cut the end off."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        at, kind = rng.randrange(len(changed) + 1), rng.random()
        if kind < 0.35:
            changed[at:at] = rng.choice(TOKENS)
        elif kind < 0.55:
            del changed[at : at + rng.randint(1, 8)]
        elif kind < 0.75 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif kind < 0.85:
            other = rng.randrange(len(changed) + 1)
            changed[at:at] = changed[min(at, other) : max(at, other)][:60]
        elif kind < 0.95:
            lines = bytes(changed).split(b"\n")
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            changed = bytearray(b"\n".join(lines))
        else:
            del changed[at:]
    return bytes(changed)


def change_file(made: PaintedSet, pattern: str, rng: random.Random) -> PaintedSet:
    """Change one file whose name fits a pattern.

    Its numbers may then describe another box than the painted one; such a box is right if the numbers say so.
    """
    name = rng.choice(sorted(name for name in made.files if fnmatch(name, pattern)))
    old = made.files[name]
    assert isinstance(old, bytes)
    new = change_bytes(old, rng)
    made.files[name] = new
    made.about.append(f"bytes of {name}")
    made.whole = False
    if name.endswith(".json"):
        made.explains = _in_boxes(lambda: _coco_boxes(new))
    elif name == "annotations.xml":
        made.explains = _in_boxes(lambda: _cvat_boxes(new))
    elif "/" in name and name.endswith((".txt", ".xml")) and not name.startswith("ImageSets"):
        made.explains = _in_numbers(name.rpartition("/")[2].rpartition(".")[0], new, name.endswith(".xml"))
    return made


def _text(data: bytes) -> str:
    for codec in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8",):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")


def _in_numbers(stem: str, data: bytes, voc: bool) -> Explains:
    """Make a function that looks for a box among every four consecutive numbers of an image's file."""
    numbers = [float(each) for each in NUMBER.findall(_text(data))]
    windows = np.array([numbers[i : i + 4] for i in range(len(numbers) - 3)], float).reshape(-1, 4)
    width, height = next(each.size for each in PAINTINGS if each.stem == stem)
    limit = np.array([width, height] * 2, float)

    def explains(image: str, class_name: str, box: NDArray[np.float64]) -> bool:
        if image.rpartition(".")[0] != stem:
            return False
        if voc:
            corners = np.concatenate(
                (np.minimum(windows[:, :2], windows[:, 2:]) - 1, np.maximum(windows[:, :2], windows[:, 2:])), 1
            )
            return _near(corners, box, limit)
        forms = [windows * limit, windows]  # fractions, and pixels
        outlines = list(_outlines(numbers, limit))
        return any(
            _near(np.concatenate((form[:, :2] - form[:, 2:] / 2, form[:, :2] + form[:, 2:] / 2), 1), box, limit)
            for form in forms
        ) or _near(np.array(outlines).reshape(-1, 4), box, limit)

    return explains


def _outlines(numbers: list[float], limit: NDArray[np.float64]) -> Iterable[list[float]]:
    """Yield the boxes around all polygons that the numbers could form."""
    for start in range(len(numbers)):
        for end in range(start + 6, min(len(numbers), start + 24) + 1, 2):
            xs, ys = numbers[start:end:2], numbers[start + 1 : end : 2]
            yield [min(xs) * limit[0], min(ys) * limit[1], max(xs) * limit[0], max(ys) * limit[1]]


def _near(boxes: NDArray[np.float64], box: NDArray[np.float64], limit: NDArray[np.float64]) -> bool:
    return bool((np.abs(np.clip(boxes, 0, limit) - box) < 1.5).all(1).any())


def _in_boxes(read: Callable[[], list[tuple[str, str, list[float]]]]) -> Explains:
    """Make a function that looks for a box among those that a file states for the image and class."""
    known: list[tuple[str, str, list[float]]] | None = None

    def explains(image: str, class_name: str, box: NDArray[np.float64]) -> bool:
        nonlocal known
        if known is None:
            known = read()
        size = next((each.size for each in PAINTINGS if each.stem == image.rpartition(".")[0]), (1000, 1000))
        limit = np.array([*size] * 2, float)
        stated = [each for name, label, each in known if name == image and label == class_name.strip()]
        return _near(np.array(stated, float).reshape(-1, 4), box, limit)

    return explains


def _coco_boxes(data: bytes) -> list[tuple[str, str, list[float]]]:
    """Return image, class and corners of each annotation of a COCO JSON."""
    found = []
    try:
        content = json.loads(_text(data).removeprefix("\ufeff"))
    except ValueError:
        return []
    images = [each for each in content["images"] if isinstance(each, dict)]
    categories = [each for each in content["categories"] if isinstance(each, dict)]
    for each in (each for each in content["annotations"] if isinstance(each, dict)):
        try:
            forms = []
            if "bbox" in each:
                x, y, w, h = (float(side) for side in each["bbox"])
                forms.append([x, y, x + w, y + h])
            if each.get("segmentation"):
                xs, ys = each["segmentation"][0][::2], each["segmentation"][0][1::2]
                forms.append([min(xs), min(ys), max(xs), max(ys)])
        except (TypeError, ValueError, KeyError, IndexError):
            continue
        names = [str(image.get("file_name")) for image in images if _same(image.get("id"), each.get("image_id"))]
        labels = [str(one.get("name")) for one in categories if _same(one.get("id"), each.get("category_id"))]
        found += [
            (re.split(r"[/\\]", name)[-1], label.strip(), form) for name in names for label in labels for form in forms
        ]
    return found


def _same(one: object, other: object) -> bool:
    return one == other or str(one).strip() == str(other).strip()


def _cvat_boxes(data: bytes) -> list[tuple[str, str, list[float]]]:
    """Return image, class and corners of each box of CVAT's XML."""
    found = []
    root = None
    for text in (_text(data), data.decode("ascii", "replace").replace("\ufffd", "x")):  # in whatever encoding
        with contextlib.suppress(ElementTree.ParseError):
            root = ElementTree.fromstring(re.sub(r"<\?xml.*?\?>", "", text))
            break
    for image in () if root is None else root.iter("image"):
        name = re.split(r"[/\\]", image.get("name", ""))[-1]
        for box in image.iter("box"):
            try:
                x1, y1, x2, y2 = (float(box.get(side, "")) for side in ("xtl", "ytl", "xbr", "ybr"))
            except ValueError:
                continue
            sides = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
            found.append((name, box.get("label", "").strip(), sides))
    return found

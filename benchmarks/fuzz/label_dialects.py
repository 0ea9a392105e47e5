"""Label files as people and tools write them: other separators, encodings, forms of boxes, columns and ids."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from benchmarks.fuzz.painted import NAMES, PAINTINGS, Box, PaintedSet, Painting, class_list, darknet, shares, yolo

Form = Callable[[Painting, Box], Sequence[float]]
CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-16-le")
SEPARATORS = (" ", "\t", ",", ", ", ";", "  ", "\u00a0", " \t ", "; ", "|")
NEWLINES = ("\n", "\r\n", "\r", "\n\n", " \n", "\u2028", "\x0b\n")


def _corners(painting: Painting, box: Box) -> list[float]:
    width, height = painting.size
    return [box[0] / width, box[1] / height, box[2] / width, box[3] / height]


def _pixels(painting: Painting, box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def _polygon(painting: Painting, box: Box) -> list[float]:
    x1, y1, x2, y2 = _corners(painting, box)
    return [x1, y1, x2, y1, x2, y2, x1, y2, x1, (y1 + y2) / 2]


def _turned(painting: Painting, box: Box) -> list[float]:
    return _polygon(painting, box)[:8]


def _pose(painting: Painting, box: Box) -> list[float]:
    x, y, w, h = shares(painting, box)
    return [x, y, w, h, x, y, 2, x + w / 4, y + h / 4, 1]


def _scored(painting: Painting, box: Box) -> list[float]:
    return [*shares(painting, box), 0.87]


FORMS: dict[str, Form] = {
    "corners in pixels": lambda painting, box: box,
    "centre in pixels": _pixels,
    "corners": _corners,
    "percent": lambda painting, box: [100 * share for share in shares(painting, box)],
    "polygon": _polygon,
    "turned box": _turned,
    "pose": _pose,
    "confidence": _scored,
}
CLASSES: dict[str, Callable[[int], str]] = {
    "names": lambda class_id: NAMES[class_id],
    "quoted names": lambda class_id: f'"{NAMES[class_id]}"',
    "capital names": lambda class_id: NAMES[class_id].upper(),
    "floats": lambda class_id: f"{class_id}.0",
    "from 1": lambda class_id: str(class_id + 1),
    "padded": lambda class_id: f"0{class_id}",
    "colon": lambda class_id: f"{class_id}:",
}
NUMBERS: dict[str, Callable[[float], str]] = {
    "3 digits": lambda number: f"{number:.3f}",
    "exponents": lambda number: f"{number:.6e}",
    "17 digits": lambda number: repr(float(number)),
    "decimal commas": lambda number: f"{number:.6f}".replace(".", ","),
    "signs": lambda number: f"+{number:.6f}",
    "no zero": lambda number: f"{number:.6f}".lstrip("0"),
    "brackets": lambda number: f"[{number:.6f}]",
    "exponents with D": lambda number: f"{number:.6e}".replace("e", "D"),
}
HEADS = (
    "class x y w h\n",
    "# made by hand\n",
    "YOLO_OBB\n",
    "\n\n",
    "2\n",
    "class_id,x_center,y_center,width,height\n",
)
EXTRA = ("kpt_shape: [2, 3]\n", "task: obb\n", "task: segment\n", "task: pose\n")


def change_labels(rng: random.Random) -> PaintedSet:
    """Write all label files, or half of them, with one to three departures from the standard."""
    made = rng.choice([yolo, yolo, darknet, class_list])()
    form: Form = shares
    as_class: Callable[[int], str] = str
    number: Callable[[float], str] = "{:.6f}".format
    codec, separator, newline, head = "utf-8", " ", "\n", ""
    for kind in rng.sample(
        ["form", "class", "number", "codec", "separator", "newline", "head", "yaml"], rng.randint(1, 3)
    ):
        if kind == "form":
            name, form = rng.choice(list(FORMS.items()))
        elif kind == "class":
            name, as_class = rng.choice(list(CLASSES.items()))
        elif kind == "number":
            name, number = rng.choice(list(NUMBERS.items()))
        elif kind == "codec":
            name = codec = rng.choice(CODECS)
        elif kind == "separator":
            separator = rng.choice(SEPARATORS)
            name = f"separator {separator!r}"
        elif kind == "newline":
            newline = rng.choice(NEWLINES)
            name = f"newline {newline!r}"
        elif kind == "head":
            head = rng.choice(HEADS)
            name = f"head {head!r}"
        else:
            name = extra = rng.choice(EXTRA)
            if "data.yaml" in made.files:
                made.files["data.yaml"] += extra.encode()  # type: ignore[operator]
        made.about.append(name)
    share = rng.choice([1, 1, 1, 0.5])
    for each in PAINTINGS:
        if rng.random() >= share:
            continue
        lines = (
            separator.join([as_class(class_id), *(number(value) for value in form(each, box))])
            for class_id, box in each.objects
        )
        name = next(name for name in made.files if name.endswith(f"/{each.stem}.txt"))
        made.files[name] = (head + "".join(line + newline for line in lines)).encode(codec, "replace")
    return made

"""Read the data sets that Datumaro writes: its dialects of COCO, YOLO, VOC and CVAT.

Datumaro (MIT) converts between the formats of many labelling tools. It writes a data set of painted images in each of
its dialects; Lehr reads each one and checks that every box is on its rectangle. With `--assets`, the data sets of
Datumaro's own tests (`tests/assets` of its repository) are read as well.

    python -m venv elsewhere && elsewhere/bin/pip install datumaro
    python benchmarks/datumaro_dialects.py --python elsewhere/bin/python --write docs/data.md
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
COLOURS = ((230, 20, 20), (20, 20, 230), (20, 200, 20))
NAMES = ("cat", "dog", "hen house")
SIDE = 96
IMAGES = {"train": 4, "val": 2}
BOXES = ((8, 10, 30, 24), (50, 12, 28, 40), (20, 60, 44, 26))
"""x, y, width and height of each image's objects, pixels."""
DIALECTS = {
    "coco": ("coco", {}),
    "coco, images in one folder": ("coco", {"merge_images": True}),
    "coco instances": ("coco_instances", {}),
    "coco instances, ids by position": ("coco_instances", {"reindex": True}),
    "coco instances of polygons": ("coco_instances", {}),
    "yolo (Darknet)": ("yolo", {}),
    "yolo, paths with a prefix": ("yolo", {"add_path_prefix": True}),
    "yolo_ultralytics": ("yolo_ultralytics", {}),
    "voc": ("voc", {}),
    "voc detection": ("voc_detection", {}),
    "voc detection, own label map": ("voc_detection", {"label_map": "source"}),
    "cvat": ("cvat", {}),
}
"""Datumaro's format and its options, by a readable name."""
MARKS = "<!-- datumaro: begin -->", "<!-- datumaro: end -->"


def write_dialects(folder: Path) -> dict[str, str]:
    """Have Datumaro write the painted data set in each dialect; return what it refused, and why."""
    import datumaro  # type: ignore[import-not-found]

    refused = {}
    for number, (name, (form, options)) in enumerate(DIALECTS.items()):
        try:
            made = datumaro.Dataset.from_iterable(list(_items(datumaro, "polygons" in name)), categories=list(NAMES))
            made.export(str(folder / str(number)), form, save_media=True, **options)
        except Exception as error:  # whatever Datumaro raises
            refused[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return refused


def _items(datumaro: object, polygons: bool) -> Iterator[object]:
    for split, count in IMAGES.items():
        for index in range(count):
            image = np.full((SIDE, SIDE, 3), 90, np.uint8)
            objects = []
            for label, (x, y, width, height) in enumerate(BOXES):
                place = x + index, y
                image[place[1] : place[1] + height, place[0] : place[0] + width] = COLOURS[label][::-1]
                corners = [place[0], y, place[0] + width, y, place[0] + width, y + height, place[0], y + height]
                shape = (
                    datumaro.Polygon(corners, label=label)
                    if polygons
                    else datumaro.Bbox(*place, width, height, label=label)
                )  # type: ignore[attr-defined]
                objects.append(shape)
            media = datumaro.Image.from_numpy(data=image)  # type: ignore[attr-defined]
            yield datumaro.DatasetItem(id=f"{split}{index}", subset=split, media=media, annotations=objects)  # type: ignore[attr-defined]


def read_dialects(folder: Path, refused: dict[str, str]) -> list[str]:
    """Return a row per dialect: its name, what Lehr read of it, and the notes and faults."""
    from tests.field.conftest import paint_of

    from lehr.data.faults import count_kinds
    from lehr.errors import InputError

    rows = []
    for number, name in enumerate(DIALECTS):
        if name in refused:
            rows.append(f"| {name} | not written by Datumaro | {refused[name]} |")
            continue
        try:
            read = paint_of(folder / str(number))
        except InputError as error:
            rows.append(f"| {name} | refused | {_cell(str(error), folder)} |")
            continue
        expected = len(BOXES) * sum(IMAGES.values())
        splits = ", ".join(f"{split} {len(samples)}" for split, samples in read.dataset.splits.items())
        right = f"{read.count} of {expected} boxes on their objects" + (", OTHERS ARE NOT" if read.misaligned else "")
        rows.append(f"| {name} | {right}; {splits} | {count_kinds(read.dataset.faults)} |")
    return rows


def read_assets(assets: Path) -> list[str]:
    """Return rows for the data sets of Datumaro's own tests."""
    from lehr.data.faults import count_kinds
    from lehr.data.load import load_dataset
    from lehr.errors import InputError

    rows = []
    kinds = re.compile(r"(coco|yolo|voc|cvat)", re.IGNORECASE)
    for folder in sorted(path for path in assets.iterdir() if path.is_dir() and kinds.search(path.name)):
        for source in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
            try:
                dataset = load_dataset(str(source))
            except InputError as error:
                rows.append(f"| {source.relative_to(assets)} | refused | {_cell(str(error), assets)} |")
                continue
            objects = sum(len(sample.classes) for own in dataset.splits.values() for sample in own)
            images = sum(map(len, dataset.splits.values()))
            rows.append(
                f"| {source.relative_to(assets)} | {images} images, {objects} objects | {count_kinds(dataset.faults)} |"
            )
    return rows


def _cell(text: str, folder: Path) -> str:
    """Return the first line of a message, without the path of the folder."""
    return text.splitlines()[0].replace(f"{folder}/", "").replace("|", "\\|")[:160]


def main() -> None:
    """Write the dialects, read them, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has Datumaro")
    parser.add_argument("--assets", type=Path, help="tests/assets of Datumaro's repository")
    parser.add_argument("--write", type=Path, help="document to write the table into")
    parser.add_argument("--only-write-to", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_write_to:
        print(json.dumps(write_dialects(given.only_write_to)))
        return
    with tempfile.TemporaryDirectory() as name:
        done = subprocess.run(
            [given.python, __file__, "--only-write-to", name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"Skipped: {given.python} has no Datumaro ({done.stderr.strip().splitlines()[-1:]}).")
            return
        rows = read_dialects(Path(name), json.loads(done.stdout.strip().splitlines()[-1]))
    if given.assets is not None:
        rows += read_assets(given.assets)
    table = "\n".join(["| what Datumaro writes | what Lehr reads | notes and faults |", "|---|---|---|", *rows])
    print(table)
    if given.write:
        text = given.write.read_text(encoding="utf-8")
        start, end = (text.index(mark) for mark in MARKS)
        given.write.write_text(f"{text[: start + len(MARKS[0])]}\n{table}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Reading a COCO JSON: its records, or what else the JSON is and how to have it read.

Polygons are most of such a file, although boxes are given, too: they are dropped while the JSON is parsed, and the rest
of an annotation goes into columns at once, so that a file of a gigabyte needs little more memory than its text.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import json
import math
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lehr.data.formats.coco_outlines import Outline, outline_of
from lehr.data.limits import JSON_BYTES
from lehr.data.text_files import likely_encodings
from lehr.errors import InputError
from lehr.runtime.reading import MIB, read_file

Record = dict[str, Any]

OUTLINES_KEPT = 1000
"""Outlines that are kept of annotations with a box: enough to see whether the two agree."""
MOST_COMPRESSED, LITTLE = 100, 256 * MIB
"""Bytes of a JSON for each that it has when compressed, at most, and bytes that any may have; JSON has 5 to 30."""
NO_BOX = [math.nan] * 4


@dataclass(slots=True)
class Annotations:
    """Annotations of a COCO JSON as columns, in the order of the file.

    Attributes:
        ids: as given.
        image_ids: as given.
        category_ids: as given.
        boxes: four numbers each, as given; NaN if there is no list of four numbers.
        areas: as given; NaN if there is none.
        outlines: bounding box of the segmentation of those without a usable box, and of the first with one, by
            position; None if it is damaged.
        unusual: the whole record, by position, where a value is not of the common form.
    """

    ids: list[Any] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)
    category_ids: list[Any] = field(default_factory=list)
    boxes: array[float] = field(default_factory=lambda: array("d"))
    areas: array[float] = field(default_factory=lambda: array("d"))
    outlines: dict[int, Outline | None] = field(default_factory=dict)
    unusual: dict[int, Record] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many annotations there are."""
        return len(self.ids)

    def add(self, record: Record) -> None:
        """Append an annotation."""
        get = record.get
        position = len(self.ids)
        self.ids.append(get("id"))
        self.image_ids.append(get("image_id"))
        self.category_ids.append(get("category_id"))
        box, area, segmentation = get("bbox"), get("area"), get("segmentation")
        four = box if type(box) is list and len(box) == 4 else NO_BOX
        usual = four is not NO_BOX
        try:
            self.boxes.fromlist(four)
            with_area = four[2] > 0 and four[3] > 0
        except (TypeError, OverflowError):
            self.boxes.fromlist(NO_BOX)
            usual = with_area = False
        try:
            self.areas.append(math.nan if area is None else area)
        except (TypeError, OverflowError):
            self.areas.append(math.nan)
        if segmentation and (not with_area or len(self.outlines) < OUTLINES_KEPT):
            self.outlines[position] = outline_of(segmentation)
        if (
            not (usual or (segmentation and not box))
            or get("iscrowd") not in (0, None)
            or type(get("iscrowd")) in (bool, float)
            or not _UNUSUAL.isdisjoint(record)
        ):
            self.unusual[position] = {key: value for key, value in record.items() if key != "segmentation"}


_UNUSUAL = frozenset({"ignore", "bbox_mode", "attributes", "caption", "segments_info", "score"})
"""Fields that decide how an annotation is read."""


@dataclass(slots=True)
class CocoFile:
    """A COCO JSON as parsed.

    Attributes:
        path: the file.
        images: its records of images, as given.
        categories: its records of categories, as given.
        annotations: its annotations.
    """

    path: Path
    images: list[Record]
    categories: list[Record]
    annotations: Annotations


def read_coco_json(path: Path) -> CocoFile:
    """Parse a COCO JSON, plain or compressed by gzip.

    Raises:
        InputError: it cannot be read, is not JSON, or is not COCO JSON of boxes.
    """
    found = Annotations()

    def take(record: Record) -> Record | None:
        if "image_id" not in record:
            return record
        found.add(record)
        return None

    content = _parse(path, take)
    if not _only_annotations_taken(content, found):
        content, found = _parse(path, None), Annotations()
        if not isinstance(content, dict) or not _are_records(content.get("images")):
            what = describe_other_json(content) or "must hold a list 'images' of records to be a COCO JSON."
            raise InputError(f"{path}: {what}")
        listed = content.get("annotations") or []
        if not _are_records(listed):
            raise InputError(f"{path}: 'annotations' must be a list of records. Export it again, as COCO or YOLO.")
        for record in listed:
            found.add(record)
    if len(found) and all(_is_no_object(found.unusual.get(i)) for i in range(min(len(found), 100))):
        kind = "captions" if "caption" in found.unusual[0] else "panoptic segmentation"
        raise InputError(f"{path}: holds {kind}, no boxes. Give the instances_*.json of the data set.")
    if not _are_records(content.get("categories")):
        raise InputError(
            f"{path}: must hold a list 'categories', each with id and name, to be a COCO JSON of boxes. Export it "
            "again, as COCO (detection) or YOLO."
        )
    return CocoFile(path, content["images"], content["categories"], found)


def _only_annotations_taken(content: Any, found: Annotations) -> bool:
    """Return whether what names an image in a JSON are its annotations, and nothing else."""
    if not isinstance(content, dict) or not _are_records(content.get("images")):
        return False
    listed = content.get("annotations") or []
    return isinstance(listed, list) and len(listed) == len(found) and all(each is None for each in listed)


def _are_records(records: Any) -> bool:
    return isinstance(records, list) and all(isinstance(record, dict) for record in records)


def _is_no_object(record: Record | None) -> bool:
    return record is not None and "bbox" not in record and not {"caption", "segments_info"}.isdisjoint(record)


def _parse(path: Path, hook: Any) -> Any:
    text = _text(path)
    try:
        with _without_gc():
            return json.loads(text, object_hook=hook)
    except json.JSONDecodeError as error:
        hint = " It ends too early: copy or export it again." if error.pos >= len(text.rstrip()) else ""
        where = f"{path}:{error.lineno}" if error.lineno > 1 else f"{path}:1 (character {error.pos + 1})"
        raise InputError(f"{where}: is not valid JSON ({error.msg}).{hint}") from None
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply to be a COCO JSON.") from None
    except ValueError:
        raise InputError(f"{path}: holds a whole number of thousands of digits. Correct it, or export again.") from None


def _text(path: Path) -> str:
    try:
        data = read_file(path, JSON_BYTES)
        if data[:2] == b"\x1f\x8b":
            data = _decompress(data, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: cannot be decompressed ({error}). Copy it again.") from None
    except OSError as error:
        raise InputError(f"{path}: the COCO JSON cannot be read ({error.strerror}). Check --data.") from None
    if not data.strip():
        raise InputError(f"{path}: is empty. Export or copy it again.")
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        likely = " or ".join(likely_encodings(data))
        raise InputError(
            f"{path}: is not UTF-8 (byte {error.start + 1}), as JSON must be{likely and f', but perhaps {likely}'}. "
            "Save it as UTF-8, or export it again."
        ) from None


def _decompress(data: bytes, path: Path) -> bytes:
    """Decompress a gzip file, of which a few bytes could stand for gigabytes.

    Raises:
        InputError: it stands for more than any JSON.
    """
    most = min(JSON_BYTES, max(MOST_COMPRESSED * len(data), LITTLE))
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise InputError(f"{path}: stands for over {most // MIB:,} MB, far more than a JSON of its size. Unpack it.")
    return text


@contextlib.contextmanager
def _without_gc() -> Iterator[None]:
    """Millions of new objects, none of them garbage, would have the collector search them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def describe_other_json(content: Any) -> str | None:
    """Say which other format a parsed JSON is of, with the remedy; None for an unknown one."""
    first = content
    if isinstance(content, list):
        first = next(iter(content), None)
    elif isinstance(content, dict) and "_via_img_metadata" not in content:
        nested = next(iter(content.values()), None)
        if isinstance(nested, dict) and {"filename", "regions"} <= nested.keys():
            first = {"_via_img_metadata": content}
    if not isinstance(first, dict):
        return None
    kind = next((name for name, keys in _SHAPES if keys <= first.keys()), None)
    return None if kind is None else f"is {kind}, no COCO JSON. {_REMEDIES.get(kind, _EXPORT)}"


_EXPORT = "Export the data set as COCO or YOLO."
_DETECTIONS = "a list of detections, as a detector writes them"
_SHAPES: list[tuple[str, set[str]]] = [
    (_DETECTIONS, {"image_id", "category_id", "score"}),
    ("labelme's JSON of one image", {"shapes", "imagePath"}),
    ("VIA's own JSON", {"_via_img_metadata"}),
    ("Label Studio's own JSON", {"data", "annotations"}),
    ("Label Studio's own JSON", {"data", "completions"}),
    ("Label Studio's short JSON (JSON-MIN)", {"annotation_id"}),
    ("CreateML's JSON", {"image", "annotations"}),
    ("CreateML's JSON", {"imagefilename", "annotation"}),
    ("Detectron2's list of images", {"file_name", "annotations"}),
    ("datumaro's own JSON", {"items", "categories"}),
    ("Supervisely's JSON of one image", {"objects", "size"}),
    ("Labelbox's export", {"data_row"}),
    ("a Jupyter notebook", {"cells", "nbformat"}),
]
_REMEDIES = {
    _DETECTIONS: "Give the data set's ground truth, with images and categories.",
    "a Jupyter notebook": "Give a data set.",
}

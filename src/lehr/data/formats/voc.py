"""Pascal VOC layout: one XML file an image, splits as lists in `ImageSets`, or a bare folder of images and XML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from lehr.data.formats.data_format import DataFormat
from lehr.data.images import ImageFault, is_image, probe_image
from lehr.data.objects import checked_objects, no_objects
from lehr.data.split import split_samples
from lehr.errors import InputError
from lehr.sample import SPLITS, Dataset, Fault, Sample

DEFAULT_RATIOS = (0.7, 0.3)


@dataclass(frozen=True, slots=True)
class _Annotated:
    """An image with what its XML says, before names have become numbers."""

    path: Path
    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float], ...]
    names: tuple[str, ...]
    lines: tuple[int | None, ...]
    label_path: Path | None


def is_voc(folder: Path) -> bool:
    """Return whether a folder looks like this layout: `Annotations`, or XML files among the images."""
    return (folder / "Annotations").is_dir() or any(folder.rglob("*.xml"))


def load_voc(folder: Path, seed: int = 0) -> Dataset:
    """Read a VOC folder; without `ImageSets` it is split 70/30, stratified by class, by the seed.

    Class names are those that occur, in alphabetical order. Coordinates are taken as they stand.

    Raises:
        InputError: there are no images, or an image list names none of them.
    """
    images = _images(folder)
    if not images:
        raise InputError(f"{folder}: holds no images. A VOC folder has JPEGImages, Annotations and ImageSets/Main.")
    xml_root = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    labels = {path.stem: path for path in sorted(xml_root.rglob("*.xml"))}
    lists = _split_lists(folder)
    wanted = {stem for stems in lists.values() for stem in stems} if lists else set(images)
    faults: list[Fault] = []
    annotated: dict[str, _Annotated] = {}
    stems = sorted(wanted & set(images))
    with ThreadPoolExecutor(8) as pool:
        for stem, (item, found) in zip(stems, pool.map(lambda s: _read(images[s], labels.get(s)), stems), strict=True):
            faults += found
            if item is not None:
                annotated[stem] = item
    names = tuple(sorted({name for item in annotated.values() for name in item.names}))
    samples = {}
    for stem, item in annotated.items():
        samples[stem], found = _sample(item, names)
        faults += found
    if not lists:
        ratios = dict(zip(SPLITS, DEFAULT_RATIOS, strict=False))
        return Dataset(str(folder), names, dict(split_samples(list(samples.values()), ratios, seed)), tuple(faults))
    splits: dict[str, Sequence[Sample]] = {}
    for split, listed in lists.items():
        faults += _missing(folder, split, [stem for stem in listed if stem not in images])
        splits[split] = [samples[stem] for stem in dict.fromkeys(listed) if stem in samples]
    return Dataset(str(folder), names, splits, tuple(faults))


def _images(folder: Path) -> dict[str, Path]:
    root = folder / "JPEGImages" if (folder / "JPEGImages").is_dir() else folder
    return {path.stem: path for path in sorted(root.rglob("*")) if is_image(path) and path.is_file()}


def _split_lists(folder: Path) -> dict[str, list[str]]:
    lists = {}
    for split in SPLITS:
        path = folder / "ImageSets" / "Main" / f"{split}.txt"
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise InputError(f"{path}: is not text. It must name one image a line.") from None
            # Lists of single classes carry a second column; names may have spaces only without it.
            lists[split] = [Path(line.split()[0]).name for line in text.splitlines() if line.strip()]
            lists[split] = [name.rsplit(".", 1)[0] if is_image(Path(name)) else name for name in lists[split]]
    return lists


def _missing(folder: Path, split: str, stems: Iterable[str]) -> list[Fault]:
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        Fault(
            "unreadable-image",
            path,
            f"names '{stem}', but there is no such image. Restore it or remove the line",
            next((i for i, line in enumerate(lines, 1) if line.strip().startswith(stem)), None),
        )
        for stem in stems
    ]


def _read(image: Path, label: Path | None) -> tuple[_Annotated | None, list[Fault]]:
    try:
        width, height = probe_image(image)
    except ImageFault as error:
        return None, [Fault(error.kind, error.path, error.reason)]
    if label is None:
        message = "no XML file of this name: the image is taken as background. If it is, give it one without objects"
        return _Annotated(image, width, height, (), (), (), None), [Fault("missing-label", image, message)]
    try:
        data = label.read_bytes()
        root = fromstring(data, forbid_dtd=True)
    except ParseError as error:
        line = error.position[0] if hasattr(error, "position") else None
        return None, [Fault("unreadable-label", label, f"is not valid XML ({error}). Restore or remove it.", line)]
    except (OSError, DefusedXmlException, ValueError) as error:
        return None, [Fault("unreadable-label", label, f"cannot be read ({error}). Restore or remove it.")]
    return _objects(root, data, image, label, width, height)


def _objects(
    root: Element, data: bytes, image: Path, label: Path, width: int, height: int
) -> tuple[_Annotated, list[Fault]]:
    faults: list[Fault] = []
    boxes: list[tuple[float, float, float, float]] = []
    names: list[str] = []
    lines: list[int | None] = []
    starts = [i for i, line in enumerate(data.split(b"\n"), 1) if b"<object>" in line]
    elements = root.findall("object")
    size = root.find("size")
    if size is not None:
        faults += _check_size(size, label, width, height)
    for i, element in enumerate(elements):
        line = starts[i] if len(starts) == len(elements) else None
        name = (element.findtext("name") or "").strip()
        box = element.find("bndbox")
        try:
            sides = [float((box.findtext(tag) if box is not None else None) or "") for tag in _SIDES]
        except ValueError:
            sides = []
        if not name or len(sides) != 4 or not all(map(math.isfinite, sides)):
            message = "an object without a name or without four numbers in <bndbox>; it is skipped"
            faults.append(Fault("malformed-line", label, message, line))
            continue
        if sides[2] == sides[0] or sides[3] == sides[1]:
            given = ", ".join(f"{side:g}" for side in sides)
            message = f"the box {given} is a line or a point, surely a slip; it is read as one pixel. Redraw it"
            faults.append(Fault("box-without-area", label, message, line))
        # VOC counts pixels from 1 and names the first and the last one of a box.
        boxes.append((sides[0] - 1, sides[1] - 1, sides[2], sides[3]))
        names.append(name)
        lines.append(line)
    return _Annotated(image, width, height, tuple(boxes), tuple(names), tuple(lines), label), faults


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _check_size(size: Element, label: Path, width: int, height: int) -> list[Fault]:
    stated = (size.findtext("width"), size.findtext("height"))
    if stated in ((str(width), str(height)), (None, None), ("0", "0")):
        return []
    message = f"states a size of {stated[0]}x{stated[1]}, but the image is {width}x{height}"
    return [Fault("size-disagrees", label, message)]


def _sample(item: _Annotated, names: tuple[str, ...]) -> tuple[Sample, list[Fault]]:
    if item.label_path is None:
        return Sample(item.path, item.width, item.height, *no_objects()), []
    boxes, classes, faults = checked_objects(
        np.array(item.boxes, np.float64).reshape(-1, 4),
        np.array([names.index(name) for name in item.names], np.int64),
        width=item.width,
        height=item.height,
        path=item.label_path,
        lines=item.lines,
    )
    return Sample(item.path, item.width, item.height, boxes, classes, item.label_path), faults


def _recognise(source: str) -> list[str]:
    folder = Path(source).expanduser()
    if not folder.is_dir() or not is_voc(folder):
        return []
    return ["it holds Annotations" if (folder / "Annotations").is_dir() else "it holds XML files"]


VOC = DataFormat("voc", _recognise, lambda source, seed: load_voc(Path(source).expanduser(), seed))

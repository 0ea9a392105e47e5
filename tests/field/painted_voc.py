"""VOC data sets of painted rectangles, changed as people's files differ from the standard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.field.conftest import Painted, paint_of
from tests.field.painted_coco import SIZE, paint

from lehr.sample import Dataset

Change = Callable[[str], str]
NAMES = ("cat", "dog")


def box_of(i: int) -> tuple[int, int, int, int]:
    """The rectangle of an image, xyxy, as pixels are counted from 0, the last one not in it."""
    return 8 + 5 * i, 6 + 4 * i, 50 + 5 * i, 54 + 4 * i


def object_text(box: Sequence[float], name: str, more: str = "") -> str:
    """An object of the box, whose pixels VOC counts from 1, the last one in it."""
    sides = (box[0] + 1, box[1] + 1, box[2], box[3])
    inner = "".join(
        f"<{tag}>{side:g}</{tag}>" for tag, side in zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    )
    return f"<object>\n<name>{name}</name>{more}\n<bndbox>{inner}</bndbox>\n</object>\n"


def xml_text(objects: str, image: str = "", size: tuple[int, int] = SIZE) -> str:
    """An annotation."""
    return (
        f"<annotation>\n<folder>x</folder><filename>{image}</filename>\n"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>\n{objects}</annotation>\n"
    )


def write_pair(image: Path, label: Path, i: int, change: Change = lambda text: text, encoding: str = "utf-8") -> None:
    """Write an image with one rectangle, and its annotation."""
    paint(image, box_of(i), i % 2)
    label.parent.mkdir(parents=True, exist_ok=True)
    text = change(xml_text(object_text(box_of(i), NAMES[i % 2]), image.name))
    label.write_bytes(text.encode(encoding))


def write_lists(root: Path, lists: Mapping[str, Sequence[str]], place: str = "ImageSets/Main") -> None:
    """Write lists of images, a name a line."""
    (root / place).mkdir(parents=True, exist_ok=True)
    for split, lines in lists.items():
        (root / place / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def make(
    root: Path,
    change: Change = lambda text: text,
    *,
    lists: Mapping[str, Sequence[str]] | None = None,
    stem: str = "im{}",
    count: int = 6,
    encoding: str = "utf-8",
) -> Path:
    """Make a VOC folder; four images train and two validate unless lists are given; returns it."""
    stems = [stem.format(i) for i in range(count)]
    for i, name in enumerate(stems):
        image, label = root / "JPEGImages" / f"{name}.png", root / "Annotations" / f"{name}.xml"
        write_pair(image, label, i, change, encoding)
    write_lists(root, {"train": stems[:-2], "val": stems[-2:]} if lists is None else lists)
    return root


def kinds(dataset: Dataset) -> list[str]:
    """Kinds of a data set's faults, each once."""
    return sorted({fault.kind for fault in dataset.faults})


def message(dataset: Dataset, kind: str) -> str:
    """The only fault of a kind, as it is printed."""
    (fault,) = [fault for fault in dataset.faults if fault.kind == kind]
    return str(fault)


def whole(source: Path, count: int = 6, expected: tuple[str, ...] = ()) -> Dataset:
    """A data set all of whose boxes lie on their rectangles, with these kinds of faults and no others."""
    read: Painted = paint_of(source)
    assert not read.misaligned and read.count == count, read.misaligned or read.dataset.faults
    assert kinds(read.dataset) == sorted(expected), read.dataset.faults
    return read.dataset

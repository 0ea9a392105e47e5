"""Assignment of XML files to images: next to them, or in a mirrored folder, by name."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lehr.data.find_images import is_hidden, scan_images
from lehr.data.groups import content_digest
from lehr.sample import Fault

IMAGE_FOLDERS = frozenset({"jpegimages", "images", "image", "imgs", "img", "pictures", "photos", "data"})
LABEL_FOLDERS = frozenset(
    {"annotations", "annotation", "annots", "annot", "anns", "ann", "xmls", "xml", "labels", "label"}
)
MASK_FOLDERS = frozenset({"segmentationclass", "segmentationobject", "segmentationclassraw", "masks", "mask"})
"""Folders of images that are labels."""
Group = tuple[str, str]
"""A folder without the parts that distinguish images from labels, and a stem: what an image shares with its XML."""


@dataclass(slots=True)
class Pairs:
    """Images and their XML files.

    Attributes:
        labels: the XML of each image that has one.
        doubtful: why it cannot be said which XML is that of an image.
        twins: images that share name and folder with one whose XML names it, and have none of their own.
        unused: XML files that belong to no image.
    """

    labels: dict[Path, Path] = field(default_factory=dict)
    doubtful: dict[Path, str] = field(default_factory=dict)
    twins: dict[Path, str] = field(default_factory=dict)
    unused: list[Path] = field(default_factory=list)


def walk_xml(folder: Path) -> Iterator[Path]:
    """All XML files in a folder and the folders in it, sorted; hidden ones and those of systems are skipped."""
    seen: set[tuple[int, int]] = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        try:
            status = Path(where).stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(where, name) for name in sorted(names) if name[-4:].lower() == ".xml" and name[0] != ".")


def voc_images(folder: Path) -> tuple[list[Path], list[Fault]]:
    """The images of a VOC folder, sorted: those of `JPEGImages` if there is one, and no masks.

    Returns:
        The images, and faults of what looks like images and is not read.
    """
    found = scan_images(folder)
    prefix = len(str(folder)) + 1
    inside: dict[str, bool] = {}
    lists: set[str] = set()
    parents = {str(path.parent) for path in (*found.images, *(fault.path for fault in found.faults))}
    for parent in parents:
        parts = parent[prefix:].split("/")
        lists |= {"/".join(parts[:i]) for i, part in enumerate(parts) if part.lower() == "jpegimages"}
    for parent in parents:
        parts = parent[prefix:].split("/")
        roots = [i for i in range(len(parts) + 1) if "/".join(parts[:i]) in lists]
        own = [part.lower() for part in (parts[roots[-1] :] if roots else parts)]
        inside[parent] = not MASK_FOLDERS & set(own) and (not roots or own[:1] == ["jpegimages"])
    images = [path for path in found.images if inside[str(path.parent)]]
    return images, [fault for fault in found.faults if inside[str(fault.path.parent)]]


def neutral_folder(folder: str) -> str:
    """A relative folder without the parts that distinguish images from labels."""
    parts = folder.replace("\\", "/").split("/")
    return "/".join(p for p in parts if p and p.lower() not in IMAGE_FOLDERS and p.lower() not in LABEL_FOLDERS)


def fold(name: str) -> str:
    """A name without capitals, blanks around it, and the two ways in which Unicode composes letters."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def pair(
    folder: Path, images: Sequence[Path], xmls: Sequence[Path], named_in: Callable[[Path], tuple[str, str]]
) -> Pairs:
    """Find the XML of each image.

    An XML belongs to the image of its name in its own folder or the mirrored one (`JPEGImages/a/1.jpg` and
    `Annotations/a/1.xml`, `images/train/1.jpg` and `train/annotations/1.xml`); else to the only image of its name. Of
    several that are possible, the one is taken that the XML names.

    Args:
        folder: what all of them are in.
        images: the images.
        xmls: the XML files.
        named_in: from an XML file to the names of image and folder in it.
    """
    pairs = Pairs()
    groups = _groups(folder, images), _groups(folder, xmls)
    left_images: list[Path] = []
    left_xmls: list[Path] = []
    for group in groups[0].keys() | groups[1].keys():
        own_images, own_xmls = groups[0].get(group, []), groups[1].get(group, [])
        if len(own_images) == 1 and len(own_xmls) == 1:
            pairs.labels[own_images[0]] = own_xmls[0]
        elif not own_xmls:
            left_images += own_images
        elif not own_images:
            left_xmls += own_xmls
        else:
            _choose(own_images, own_xmls, named_in, pairs)
    left_images.sort()
    left_xmls.sort()
    _match_whole_names(folder, left_images, left_xmls, pairs)
    _match_stems(images, left_images, left_xmls, named_in, pairs)
    _match_named(images, left_images, left_xmls, named_in, pairs)
    used = set(pairs.labels.values())
    pairs.unused = [xml for xml in xmls if xml not in used]
    return pairs


def _groups(folder: Path, paths: Iterable[Path]) -> dict[Group, list[Path]]:
    prefix = len(str(folder)) + 1
    neutral: dict[str, str] = {}
    groups: dict[Group, list[Path]] = defaultdict(list)
    for path in paths:
        where, _, name = str(path).rpartition("/")
        if where not in neutral:
            neutral[where] = neutral_folder(where[prefix:])
        groups[neutral[where], name.rpartition(".")[0]].append(path)
    return groups


def _choose(images: list[Path], xmls: list[Path], named_in: Callable[[Path], tuple[str, str]], pairs: Pairs) -> None:
    """Match images and XML files of one name: by folder, then by what an XML names."""
    for image in images:
        beside = [xml for xml in xmls if xml.parent == image.parent]
        rivals = [other for other in images if other.parent == image.parent]
        if len(beside) == len(rivals) == 1 and not _different(xmls, beside[0], images):
            pairs.labels[image] = beside[0]
    left = [image for image in images if image not in pairs.labels]
    taken = {pairs.labels[image] for image in images if image in pairs.labels}
    free = [xml for xml in xmls if xml not in taken]
    if len(images) == len(left) == 1:
        if len(free) > 1 and len({content_digest(xml) for xml in free}) > 1:
            names = " and ".join(map(str, free[:3]))
            pairs.doubtful[left[0]] = f"has several XML files that differ: {names}. Keep one"
        elif free:
            pairs.labels[left[0]] = free[0]
        return
    for xml in list(free):
        name, where = named_in(xml)
        fits = [image for image in left if name and fold(image.name) == fold(name)] or left
        fits = [image for image in fits if where and fold(image.parent.name) == fold(where)] or fits
        if len(fits) == 1:
            pairs.labels[fits[0]] = xml
            left.remove(fits[0])
            free.remove(xml)
    for image in left:
        others = " and ".join(str(other) for other in images if other != image)
        if free:
            why = f"shares its name with {others}, and {free[0]} could belong to either"
            pairs.doubtful[image] = f"{why}. Give each image a name of its own, and its own XML"
        else:
            why = f"shares its name with {others}, to which the XML of this name belongs"
            pairs.twins[image] = f"{why}: it is not used. Give it a name of its own, and its own XML"


def _different(xmls: list[Path], chosen: Path, images: list[Path]) -> bool:
    """Return whether the only image of its name has another XML, of other content."""
    others = [xml for xml in xmls if xml != chosen] if len(images) == 1 else []
    return any(content_digest(xml) != content_digest(chosen) for xml in others)


def _match_whole_names(folder: Path, images: list[Path], xmls: list[Path], pairs: Pairs) -> None:
    """Match `a.jpg` with `a.jpg.xml`."""
    if not images or not xmls:
        return
    prefix = len(str(folder)) + 1
    by_name = {group: found[0] for group, found in _groups(folder, xmls).items() if len(found) == 1}
    for image in list(images):
        xml = by_name.get((neutral_folder(str(image.parent)[prefix:]), image.name))
        if xml is not None:
            pairs.labels[image] = xml
            images.remove(image)
            xmls.remove(xml)


def _match_stems(
    images: Sequence[Path],
    left: list[Path],
    xmls: list[Path],
    named_in: Callable[[Path], tuple[str, str]],
    pairs: Pairs,
) -> None:
    """Match what is left by stems alone, where these are those of one image, or the XML says which."""
    if not left or not xmls:
        return
    of_stem: dict[str, list[Path]] = defaultdict(list)
    xml_of_stem: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        of_stem[fold(image.stem)].append(image)
    for xml in xmls:
        xml_of_stem[fold(xml.stem)].append(xml)
    for image in list(left):
        own = xml_of_stem.get(fold(image.stem), [])
        if not own or image in pairs.labels or image in pairs.doubtful or image in pairs.twins:
            continue
        rivals = of_stem[fold(image.stem)]
        if any(each in pairs.labels for each in rivals):
            why = f"has no XML in its place, and {own[0]}, of its name, could be that of another"
            pairs.doubtful[image] = f"{why}. Move the XML to the image, or remove it"
        else:
            _choose(rivals, own, named_in, pairs)
    settled = pairs.labels.keys() | pairs.doubtful.keys() | pairs.twins.keys()
    left[:] = [image for image in left if image not in settled]
    used = set(pairs.labels.values())
    xmls[:] = [xml for xml in xmls if xml not in used]


def _match_named(
    images: Sequence[Path],
    left: list[Path],
    xmls: list[Path],
    named_in: Callable[[Path], tuple[str, str]],
    pairs: Pairs,
) -> None:
    """Match images without an XML with XML files of other names that name them."""
    if not left or not xmls:
        return
    by_name: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        by_name[fold(image.name)].append(image)
    claims: dict[Path, list[Path]] = defaultdict(list)
    free = set(left)
    for xml in xmls:
        named = by_name.get(fold(named_in(xml)[0]), [])
        if len(named) == 1 and named[0] in free:
            claims[named[0]].append(xml)
    for image, own in claims.items():
        if len(own) == 1:
            pairs.labels[image] = own[0]
        else:
            pairs.doubtful[image] = f"is named in {' and '.join(map(str, own[:3]))}. Keep one"

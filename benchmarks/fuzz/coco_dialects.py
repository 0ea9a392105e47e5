"""COCO JSON as people and tools write it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from benchmarks.fuzz.painted import PAINTINGS, PaintedSet, coco, coco_content, encoded

Content = dict[str, Any]
Change = Callable[[Content, random.Random], None]


def _each(part: str, change: Callable[[dict[str, Any], random.Random], None]) -> Change:
    """Change every entry of a part, or about half of them."""

    def changed(content: Content, rng: random.Random) -> None:
        share = rng.choice([1, 1, 0.5])
        for entry in content[part]:
            if rng.random() < share:
                change(entry, rng)

    return changed


def _set(part: str, key: str, make: Callable[[Any], Any]) -> Change:
    """Rewrite the values of a key."""

    def change(entry: dict[str, Any], rng: random.Random) -> None:
        if key in entry:
            entry[key] = make(entry[key])

    return _each(part, change)


def _drop(part: str, key: str) -> Change:
    return _each(part, lambda entry, rng: entry.pop(key, None) and None)


def _rename(part: str, old: str, new: str) -> Change:
    def change(entry: dict[str, Any], rng: random.Random) -> None:
        if old in entry:
            entry[new] = entry.pop(old)

    return _each(part, change)


def _named_sides(box: Any) -> Any:
    if not isinstance(box, list):
        return box
    return {"x": box[0], "y": box[1], "width": box[2], "height": box[3]}


def _corners(box: Any) -> Any:
    if not isinstance(box, list):
        return box
    x, y, w, h = map(float, box)
    return [x, y, x + w, y + h]


def _centre(box: Any) -> Any:
    if not isinstance(box, list):
        return box
    x, y, w, h = map(float, box)
    return [x + w / 2, y + h / 2, w, h]


def _remap_categories(content: Content, rng: random.Random) -> None:
    ids = dict(zip((1, 2), rng.sample(range(90), 2), strict=True))
    for annotation in content["annotations"]:
        annotation["category_id"] = ids[annotation["category_id"]]
    for category in content["categories"]:
        category["id"] = ids[category["id"]]
    if rng.random() < 0.5:
        content["categories"].reverse()


def _add_category(content: Content, rng: random.Random) -> None:
    name = rng.choice(["animals", "background", "cat", "Dog", "bird", "", "_background_"])
    content["categories"].insert(rng.randrange(3), {"id": rng.choice([0, 3, 1]), "name": name, "supercategory": "none"})
    for category in content["categories"][1:]:
        category.setdefault("supercategory", rng.choice(["animals", "none"]))


def _shuffle(content: Content, rng: random.Random) -> None:
    for part in content.values():
        rng.shuffle(part)


def _duplicate(content: Content, rng: random.Random) -> None:
    part = content[rng.choice(["images", "annotations", "categories"])]
    twin = dict(rng.choice(part))
    if rng.random() < 0.5:
        twin["id"] = 77
    part.append(twin)


def _swap_ids(content: Content, rng: random.Random) -> None:
    one, other = rng.sample(content["images"], 2)
    one["id"], other["id"] = other["id"], one["id"]
    for annotation in content["annotations"]:
        swapped = {one["id"]: other["id"], other["id"]: one["id"]}
        annotation["image_id"] = swapped.get(annotation["image_id"], annotation["image_id"])


def _file_ids(content: Content, rng: random.Random) -> None:
    stems = {image["id"]: image["file_name"].rpartition(".")[0] for image in content["images"]}
    for image in content["images"]:
        image["id"] = stems[image["id"]]
    for annotation in content["annotations"]:
        annotation["image_id"] = stems[annotation["image_id"]]


CHANGES: dict[str, Change] = {
    "image ids as text": _set("images", "id", str),
    "references as text": _set("annotations", "image_id", str),
    "category ids as text": _set("annotations", "category_id", str),
    "ids in lists": _set("annotations", "image_id", lambda value: [value]),
    "ids as floats": _set("annotations", "image_id", lambda value: float(value) if isinstance(value, int) else value),
    "null references": _each(
        "annotations", lambda entry, rng: entry.update(image_id=None) if rng.random() < 0.2 else None
    ),
    "true ids": _set("annotations", "category_id", lambda value: value == 1),
    "stems as ids": _file_ids,
    "ids exchanged throughout": _swap_ids,
    "no annotation ids": _drop("annotations", "id"),
    "one annotation id": _set("annotations", "id", lambda value: 1),
    "iscrowd as text": _set("annotations", "iscrowd", lambda value: "0"),
    "iscrowd false": _set("annotations", "iscrowd", lambda value: False),
    "iscrowd null": _set("annotations", "iscrowd", lambda value: None),
    "no iscrowd": _drop("annotations", "iscrowd"),
    "boxes as text": _set(
        "annotations", "bbox", lambda box: [str(side) for side in box] if isinstance(box, list) else box
    ),
    "boxes as one text": _set(
        "annotations", "bbox", lambda box: ",".join(map(str, box)) if isinstance(box, list) else box
    ),
    "boxes in a list": _set("annotations", "bbox", lambda box: [box]),
    "named sides": _set("annotations", "bbox", _named_sides),
    "corners": _set("annotations", "bbox", _corners),
    "centres": _set("annotations", "bbox", _centre),
    "no boxes": _drop("annotations", "bbox"),
    "empty boxes": _set("annotations", "bbox", lambda box: []),
    "null boxes": _set("annotations", "bbox", lambda box: None),
    "no segmentation": _drop("annotations", "segmentation"),
    "flat segmentation": _set("annotations", "segmentation", lambda value: value[0] if value else value),
    "no area": _drop("annotations", "area"),
    "bbox renamed": _rename("annotations", "bbox", "box"),
    "category renamed": _rename("annotations", "category_id", "class_id"),
    "image renamed": _rename("annotations", "image_id", "imageId"),
    "file renamed": _rename("images", "file_name", "filename"),
    "names renamed": _rename("categories", "name", "title"),
    "names in capitals": _set("categories", "name", lambda name: str(name).title()),
    "blanks in names": _set("categories", "name", lambda name: f" {name} "),
    "prefix": _set("images", "file_name", lambda name: f"/home/me/images/{name}"),
    "folder": _set("images", "file_name", lambda name: f"images/{name}"),
    "backslashes": _set("images", "file_name", lambda name: f"C:\\me\\{name}"),
    "address": _set("images", "file_name", lambda name: f"https://a.org/x/{name}?token=1%20a"),
    "additional addresses": _each("images", lambda entry, rng: entry.update(coco_url=f"http://a/{rng.random()}.png")),
    "other case": _set("images", "file_name", str.upper),
    "other suffix": _set("images", "file_name", lambda name: name.replace(".png", ".jpg")),
    "no suffix": _set("images", "file_name", lambda name: name.replace(".png", "")),
    "percent": _set("images", "file_name", lambda name: name.replace("t", "%74", 1)),
    "numbers as names": _set("images", "file_name", lambda name: 7),
    "sizes as text": _set("images", "width", str),
    "no sizes": _drop("images", "width"),
    "sizes of 0": _set("images", "height", lambda value: 0),
    "halved sizes": _each(
        "images", lambda entry, rng: entry.update(width=int(entry["width"]) // 2) if "width" in entry else None
    ),
    "exchanged sizes": _each(
        "images", lambda entry, rng: entry.update(width=entry.get("height"), height=entry.get("width"))
    ),
    "categories renumbered": _remap_categories,
    "another category": _add_category,
    "other order": _shuffle,
    "twins": _duplicate,
    "no categories": lambda content, rng: content.pop("categories") and None,
    "empty categories": lambda content, rng: content.update(categories=[]),
    "info": lambda content, rng: content.update(info=None, licenses="", type="instances"),
    "attributes": _each(
        "annotations", lambda entry, rng: entry.update(attributes={"rotation": 0.0, "occluded": False})
    ),
    "null entries": lambda content, rng: content["annotations"].append(None),
    "a map of images": lambda content, rng: content.update(
        images={str(i): each for i, each in enumerate(content["images"])}
    ),
    "wrapped": lambda content, rng: content.update(data={"images": content.pop("images")}),
}
LAYOUTS = (
    ("annotations/instances_{}.json", "{}/"),
    ("annotations/instances_{}2017.json", "{}2017/"),
    ("annotations/instances_{}.json", "images/{}/"),
    ("{}/_annotations.coco.json", "{}/"),
    ("{}.json", "images/"),
    ("{}.json", ""),
    ("annotations/{}.json", "images/"),
    ("{}/labels.json", "{}/data/"),
)


def _turn(made: PaintedSet, rng: random.Random, contents: dict[str, Content]) -> None:
    """Store images rotated by 90 degrees, which EXIF rotates back, and state boxes as stored or as displayed."""
    share, stored = rng.choice([1, 1, 0.5]), rng.choice([True, True, False])
    for split, content in contents.items():
        paintings = {each.stem: each for each in PAINTINGS if each.split == split}
        for image in content["images"]:
            each, number = paintings[image["file_name"].rpartition(".")[0]], image["id"]
            orientation = rng.choice([6, 8]) if rng.random() < share else 0
            made.files[f"{split}/{each.stem}.jpg"] = encoded(each, ".jpg", orientation)
            made.files.pop(f"{split}/{each.stem}.png")
            image["file_name"] = f"{each.stem}.jpg"
            if not (orientation and stored):
                continue
            width, height = each.size
            image["width"], image["height"] = height, width
            for annotation in (one for one in content["annotations"] if one["image_id"] == number):
                x, y, w, h = annotation["bbox"]
                turned = [y, width - x - w, h, w] if orientation == 6 else [height - y - h, x, h, w]
                annotation["bbox"] = turned
                x, y, w, h = turned
                annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    made.about.append(f"turned by EXIF, {'as stored' if stored else 'as displayed'}, {share}")


def change_coco(rng: random.Random) -> PaintedSet:
    """Write the JSON of all splits, or of one, with one to three departures from the standard."""
    made = coco()
    contents = {split: coco_content(split) for split in ("train", "val")}
    if rng.random() < 0.15:
        _turn(made, rng, contents)
    for name in rng.sample(list(CHANGES), rng.choice([1, 1, 2, 3])):
        made.about.append(name)
        for split in rng.choice([["train", "val"], ["train"]]):
            changed = copy.deepcopy(contents[split])
            try:
                CHANGES[name](changed, rng)
                contents[split] = changed
            except (AttributeError, TypeError, KeyError, ValueError, IndexError):
                made.about.append("(not applicable after the previous one)")
    place, images = rng.choice(LAYOUTS) if rng.random() < 0.4 else LAYOUTS[0]
    codec = rng.choice(["utf-8-sig", "utf-16", "utf-8"]) if rng.random() < 0.2 else "utf-8"
    made.about.append(f"{place}, {images}, {codec}")
    moved = {name: data for name, data in made.files.items() if not name.endswith(".json")}
    made.files = {f"{images.format(name.split('/')[0])}{name.split('/')[1]}": data for name, data in moved.items()}
    for split, content in contents.items():
        made.files[place.format(split)] = json.dumps(content).encode(codec)
    return made

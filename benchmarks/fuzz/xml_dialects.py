"""VOC folders and CVAT's XML as people and tools write them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from benchmarks.fuzz.painted import PAINTINGS, PaintedSet, cvat, encoded, voc, voc_text

Change = Callable[[str], str]


def _sub(pattern: str, new: str | Callable[[re.Match[str]], str]) -> Change:
    return lambda text: re.sub(pattern, new, text)


def _swap(text: str, one: str, other: str) -> str:
    marked = re.sub(rf"(</?){one}>", r"\1_>", text)
    return re.sub(r"(</?)_>", rf"\1{other}>", re.sub(rf"(</?){other}>", rf"\1{one}>", marked))


NUMBER = r"(?<=(?:min|max)>)(\d+)(?=<)"
CHANGES: dict[str, Change] = {
    "namespace": _sub("<annotation>", '<annotation xmlns="http://a.org/x">'),
    "prefix": _sub(r"<(/?)(\w)", r"<\1v:\2"),
    "doctype": lambda text: f"<!DOCTYPE annotation>\n{text}",
    "entities": lambda text: f'<!DOCTYPE a [<!ENTITY x "1">]>\n{text}',
    "declaration": lambda text: f'<?xml version="1.0" encoding="utf-8"?>\n{text}',
    "wrong declaration": lambda text: f'<?xml version="1.0" encoding="gb2312"?>\n{text}',
    "no such encoding": lambda text: f'<?xml version="1.0" encoding="x-nothing"?>\n{text}',
    "blank before": lambda text: f'\n <?xml version="1.0"?>\n{text}',
    "floats": _sub(NUMBER, r"\1.0"),
    "decimal commas": _sub(NUMBER, r"\1,0"),
    "exponents": _sub(NUMBER, lambda match: f"{float(match[1]):e}"),
    "blanks around numbers": _sub(NUMBER, r" \1 "),
    "units": _sub(NUMBER, r"\1px"),
    "x exchanged": lambda text: _swap(text, "xmin", "xmax"),
    "both exchanged": lambda text: _swap(_swap(text, "xmin", "xmax"), "ymin", "ymax"),
    "y before x": lambda text: re.sub(r"(<xmin>.*?</xmin>)(<ymin>.*?</ymin>)", r"\2\1", text),
    "max first": lambda text: re.sub(r"(<xmin>.*?</ymin>)(<xmax>.*?</ymax>)", r"\2\1", text),
    "no size": _sub(r"<size>[\s\S]*?</size>", ""),
    "size of 0": _sub(r"<size>[\s\S]*?</size>", "<size><width>0</width><height>0</height></size>"),
    "size exchanged": lambda text: _swap(text, "width", "height"),
    "part": _sub(
        "</bndbox>",
        "</bndbox><part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
        "<ymax>5</ymax></bndbox></part>",
    ),
    "part before": _sub(
        "<bndbox>(?=<xmin>)",
        "<part><name>head</name><bndbox ><xmin>1</xmin><ymin>1</ymin>"
        "<xmax>5</xmax><ymax>5</ymax></bndbox></part><bndbox>",
    ),
    "difficult": _sub("</name>", "</name><difficult>1</difficult>"),
    "unspecified": _sub("</name>", "</name><pose>Unspecified</pose><truncated>Unspecified</truncated>"),
    "name last": _sub(r"(<name>\w+</name>)([\s\S]*?)(</object>)", r"\2\1\3"),
    "blanks in names": _sub(r"<name>(\w+)</name>", r"<name>\n  \1\t</name>"),
    "capital names": _sub(r"<name>(\w+)</name>", lambda match: f"<name>{match[1].title()}</name>"),
    "capital tags": _sub(r"</?(\w+)>", lambda match: match[0].upper()),
    "names in CDATA": _sub(r"<name>(\w+)</name>", r"<name><![CDATA[\1]]></name>"),
    "comments": _sub("<object>", "<!-- <object><name>cat</name></object> --><object>"),
    "other filename": _sub(r"<filename>.*?</filename>", "<filename>photo.jpg</filename>"),
    "no filename": _sub(r"<filename>.*?</filename>", ""),
    "path": _sub("<size>", "<path>C:\\\\me\\\\a.png</path><size>"),
    "another image's name": _sub(r"<filename>.*?</filename>", "<filename>train0.png</filename>"),
    "polygon": _sub("<bndbox>(.*?)</bndbox>", r"<bndbox>\1</bndbox><polygon><x1>1</x1><y1>2</y1></polygon>"),
    "no name": _sub(r"<name>cat</name>", ""),
    "item": _sub(r"(</?)object>", r"\1item>"),
    "other root": _sub(r"(</?)annotation>", r"\1annotations>"),
    "an entity in a name": _sub(r"<name>(\w)", r"<name>&#x20;\1"),
}
CODECS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "gbk", "utf-16-le")


def change_voc(rng: random.Random) -> PaintedSet:
    """Write the XML files of a VOC folder, or half of them, with one to three departures from the standard."""
    made = voc()
    names = rng.sample(list(CHANGES), rng.choice([1, 1, 2, 3]))
    codec = rng.choice(CODECS) if rng.random() < 0.25 else "utf-8"
    share, turned = rng.choice([1, 1, 0.5]), rng.random() < 0.12
    made.about += [*names, codec, f"share {share}", "turned" if turned else ""]
    for each in PAINTINGS:
        text = voc_text(each)
        if turned:
            text = _turned(made, each.stem, rng)
        if rng.random() < share:
            for name in names:
                if not (turned and name == "size exchanged"):  # that would mean that nothing is rotated
                    text = CHANGES[name](text)
        made.files[f"Annotations/{each.stem}.xml"] = text.encode(codec)
    _arrange(made, rng)
    made.whole = not {"comments", "other root", "item"} & set(names)
    return made


def _turned(made: PaintedSet, stem: str, rng: random.Random) -> str:
    """Store an image rotated by 90 degrees, which EXIF rotates back, and label it as stored."""
    each = next(each for each in PAINTINGS if each.stem == stem)
    made.files.pop(f"JPEGImages/{stem}.png")
    made.files[f"JPEGImages/{stem}.jpg"] = encoded(each, ".jpg", 6)
    width, height = each.size
    boxes = tuple((class_id, (y1, width - x2, y2, width - x1)) for class_id, (x1, y1, x2, y2) in each.objects)
    stored = type(each)(each.split, stem, (height, width), boxes)
    return voc_text(stored)


def _arrange(made: PaintedSet, rng: random.Random) -> None:
    """Move the files of a VOC folder, or rewrite its lists."""
    kind = rng.choice([*[""] * 6, "no lists", "folders", "trainval", "suffixes", "classes", "beside", "paths"])
    made.about.append(kind)
    lists = [name for name in made.files if name.startswith("ImageSets/")]
    if kind in {"no lists", "folders", "beside"}:
        for name in lists:
            del made.files[name]
    if kind in {"folders", "beside"}:
        splits = {each.stem: each.split for each in PAINTINGS}
        for name in list(made.files):
            folder, file = name.split("/")
            split = splits[file.rpartition(".")[0]]
            place = (
                f"{split}/{file}"
                if kind == "beside"
                else f"{split}/{'images' if folder[0] == 'J' else 'annotations'}/{file}"
            )
            made.files[place] = made.files.pop(name)
    if kind == "trainval":
        made.files["ImageSets/Main/trainval.txt"] = b"".join(bytes(made.files[name]) for name in lists)  # type: ignore[arg-type]
        del made.files["ImageSets/Main/val.txt"]
    form = {"suffixes": "{}.png", "classes": "{} 1", "paths": "/home/me/JPEGImages/{}.png"}.get(kind, "{}")
    for split in ("train", "val"):
        name = f"ImageSets/Main/{split}.txt"
        if kind in {"suffixes", "classes", "paths"}:
            lines = "".join(f"{form.format(each.stem)}\n" for each in PAINTINGS if each.split == split)
            made.files.pop(name, None)
            made.files[name.replace("train", "cat_train").replace("val", "cat_val") if kind == "classes" else name] = (
                lines.encode()
            )


CVAT_CHANGES: dict[str, Change] = {
    "folders in names": _sub('name="(?=train|val)', 'name="images/'),
    "prefix": _sub('name="(?=train|val)', 'name="/data/x/'),
    "backslashes": _sub('name="(?=train|val)', 'name="x\\\\'),
    "no subsets": _sub(' subset="[A-Za-z]*"', ""),
    "no sizes": _sub(r' width="\d+" height="\d+"', ""),
    "exchanged sizes": _sub(r'width="(\d+)" height="(\d+)"', r'width="\2" height="\1"'),
    "single quotes": lambda text: text.replace('"', "'"),
    "more attributes": _sub("<box ", '<box z_order="0" source="manual" group_id="1" '),
    "no meta": _sub(r"<meta>[\s\S]*?</meta>", ""),
    "job": lambda text: text.replace("<task>", "<job>").replace("</task>", "</job>"),
    "project": lambda text: text.replace("<task>", "<project>").replace("</task>", "</project>"),
    "other label order": _sub(r"(<label><name>cat.*?</label>)(<label>.*?</label>)", r"\2\1"),
    "label not in meta": _sub("<label><name>dog</name></label>", ""),
    "floats": _sub(r'(xtl|ytl|xbr|ybr)="(\d+)"', r'\1="\2.00"'),
    "polygons": _sub(
        r'<box label="(\w+)" xtl="(\d+)" ytl="(\d+)" xbr="(\d+)" ybr="(\d+)".*?></box>',
        r'<polygon label="\1" points="\2,\3;\4,\3;\4,\5;\2,\5"/>',
    ),
    "no rotation": _sub("<box ", '<box rotation="0.0" '),
    "outside": _sub("<box ", '<box outside="0" keyframe="1" '),
    "exchanged corners": lambda text: text.replace("xtl=", "_=").replace("xbr=", "xtl=").replace("_=", "xbr="),
    "shapes for boxes": _sub(r"(</?)box", r"\1rectangle"),
    "one image twice": _sub('name="train1.png"', 'name="train0.png"'),
    "no image": _sub('name="train1.png"', 'name="none.png"'),
    "doctype": _sub("<annotations>", "<!DOCTYPE x><annotations>"),
}


def change_cvat(rng: random.Random) -> PaintedSet:
    """Write CVAT's XML with one to three departures from the standard."""
    made = cvat()
    text = bytes(made.files["annotations.xml"]).decode()  # type: ignore[arg-type]
    names = rng.sample(list(CVAT_CHANGES), rng.choice([1, 1, 2, 3]))
    for name in names:
        text = CVAT_CHANGES[name](text)
    codec = rng.choice(["utf-8", "utf-8", "utf-8-sig"])
    made.files["annotations.xml"] = text.encode(codec)
    made.about += [*names, codec]
    if "one image twice" in names:
        made.explains = lambda image, label, box: image == "train0.png"
    return made

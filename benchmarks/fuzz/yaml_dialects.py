"""Data YAMLs and lists of images as people and tools write them."""

from __future__ import annotations

import random

from benchmarks.fuzz.painted import PaintedSet, darknet, yolo, yolo_lists

TRAIN = (
    *(
        "images/train",
        "./images/train",
        "images\\train",
        "'images/train/'",
        "C:\\me\\set\\images\\train",
        "[images/train]",
    ),
    *("/home/me/set/images/train", "../images/train", "../train/images", "labels/train", "images/train/*.png"),
    *(
        "http://a.org/set/images/train",
        "file:///x/images/train",
        "Images/Train",
        "images/train/train0.png",
        "~/images/train",
    ),
    *("$NO_SUCH/images/train", "images/train # all", '"images\\train"', "null", "", "images/training", "images//train"),
    *(
        "images/../images/train",
        "[images/train, images/train]",
        "{a: images/train}",
        "train",
        "images",
        "2024-05-01",
        "yes",
    ),
)
VAL = (
    "images/val",
    "images\\val",
    "../images/val",
    "/home/me/set/images/val",
    "images/train",
    "images/valid",
    "D:/set/images/val",
)
NAMES = (
    *("[cat, dog]", "{0: cat, 1: dog}", "{'0': cat, '1': dog}", "\n  - cat\n  - dog", "\n- cat\n- dog", "[no, yes]"),
    *(
        "[1, 2]",
        "[~, dog]",
        "{0: cat, 2: dog}",
        "{1: cat, 2: dog}",
        "[cat, cat]",
        "[[cat, dog]]",
        "cat,dog",
        "names.txt",
    ),
    *(
        "[{0: cat}, {1: dog}]",
        "{cat: 0, dog: 1}",
        "[cat]",
        "[]",
        "",
        "[cat, dog, bird]",
        "[2024-1-1, 1.10]",
        "[007, 0x1f]",
    ),
    *("[\"cat\", 'dog']", "[{id: 0, name: cat}, {id: 1, name: dog}]", "[katze, *dog]", "[Größe, 猫]", "{0: cat, 1: }"),
    *("[a: b, c: d]", "[on, off]", "{1: dog, 0: cat}", "{0: cat, 0: dog}", "[.inf, 1e3]", "[cat dog]", "['cat' 'dog']"),
)
PATHS = (
    ".",
    "./",
    "",
    "/home/me/set",
    "C:\\me\\set",
    "../set",
    "~",
    "images",
    "$HOME",
    "/",
    "..",
    "null",
    "nowhere",
    "'.'",
)
NC = ("2", "'2'", "2.0", "3", "two", "", "[2]", "-1", "true", "9" * 30)
MORE = (
    *(
        "kpt_shape: [17, 3]",
        "channels: 3",
        "task: detect",
        "roboflow:\n  workspace: x\n  version: 1",
        "download: rm -rf x",
    ),
    *(
        "test: ../test/images",
        "test:",
        "valid: images/val",
        "val: images/val",
        "names: [dog, cat]",
        "augment: true",
        "x: &a 1",
    ),
    *(
        "colors: [[1, 2, 3]]",
        "license: CC",
        "Train: images/train",
        "minival: x",
        "!!python/object:os.system {}",
        "? a\n: b",
    ),
    *(
        "%YAML 1.2\n---",
        "---",
        "...",
        "flip_idx: [0, 1]",
        "\ttabs: 1",
        "test: [a, b]",
        "x: *nowhere",
        "<<: {train: images/val}",
    ),
)
CODECS = ("utf-8", "utf-8-sig", "utf-16", "gbk", "shift-jis", "cp1252", "utf-32")


def change_yaml(rng: random.Random) -> PaintedSet:
    """Write a data YAML with one to four departures; objects are compared by class id, whatever the names."""
    made = yolo()
    parts = {"path": ".", "train": "images/train", "val": "images/val", "nc": "2", "names": "[cat, dog]"}
    choices = {"path": PATHS, "train": TRAIN, "val": VAL, "nc": NC, "names": NAMES}
    lines, codec, newline, place = [], "utf-8", "\n", "data.yaml"
    for kind in rng.sample(
        ["path", "train", "val", "nc", "names", "more", "codec", "newline", "drop", "place"], rng.randint(1, 4)
    ):
        if kind in choices:
            parts[kind] = rng.choice(choices[kind])
            made.about.append(f"{kind}: {parts[kind]}")
        elif kind == "more":
            lines.append(rng.choice(MORE))
            made.about.append(lines[-1])
        elif kind == "codec":
            codec = rng.choice(CODECS)
            made.about.append(codec)
        elif kind == "newline":
            newline = rng.choice(["\r\n", "\r", " \n", "  # x\n"])
        elif kind == "place":
            place = rng.choice(["set.yml", "dataset.yaml", "labels/data.yaml", "a/data.yaml", "images/train/data.yaml"])
            made.about.append(place)
        else:
            parts.pop(rng.choice(list(parts)), None)
            made.about.append(f"only {list(parts)}")
    lines += [f"{key}: {value}" for key, value in parts.items()]
    if rng.random() < 0.2:
        rng.shuffle(lines)
    text = ("\n".join(lines) + "\n").replace("\n", newline)
    made.files.pop("data.yaml")
    made.files[place] = text.encode(codec, "replace")
    made.source = rng.choice([place, ""])
    made.whole = False  # a split may legitimately be another folder now
    return made


PREFIXES = (
    "/home/me/set/",
    "C:\\me\\set\\",
    "data/",
    "./",
    "../",
    "../set/",
    "http://a.org/",
    "file:///",
    "~/",
    "$X/",
    "set/",
)


def _line(name: str, rng: random.Random) -> str:
    """Rewrite a line of a list."""
    file = name.rpartition("/")[2]
    return rng.choice(
        [
            *(
                f'"{name}"',
                f"'{name}'",
                name.replace("/", "\\"),
                f"  {name}  ",
                f"{name},",
                f"{name} 1",
                f"{name},64,64",
            ),
            *(file, file[:-4], name[:-4], name.replace("images", "labels")[:-3] + "txt", name.upper(), name.title()),
            *(
                f"# {name}",
                "",
                name.replace("/", "//"),
                f"{name}\t0.5",
                f"{name} # one",
                name[:-3] + "jpg",
                f"{name}\n{name}",
            ),
            *(name.replace("images/", ""), f"{name} {name}", "images", "images/train", f"{rng.choice(PREFIXES)}{name}"),
            *(
                name.replace("train", "val"),
                name.replace("images/", "Images/"),
                f"{name}\u00a0",
                f"{name}\u3000",
                f"{name}\0",
            ),
            *(f"{name}?x=1", name.replace("i", "%69"), f"1 {name}", f"{name};", f"({name})", f"{name}|", f"-{name}"),
        ]
    )


def change_list(rng: random.Random) -> PaintedSet:
    """Write lists of images in which all lines differ from the standard in one way, or some in several."""
    made = rng.choice([yolo_lists, yolo_lists, darknet])()
    lists = [name for name in made.files if name in {"train.txt", "val.txt", "valid.txt"}]
    share, same = rng.choice([0.2, 0.5, 1, 1]), rng.choice([True, True, False])
    which = rng.randrange(2**30)
    codec, newline = rng.choice([*["utf-8"] * 4, "utf-8-sig", "utf-16"]), rng.choice(["\n", "\n", "\n", "\r\n", "\r"])
    head = rng.choice([*[""] * 5, "path\n", "# images\n", "\n\n", "file,width,height\n"])
    for name in lists:
        content = made.files[name]
        assert isinstance(content, bytes)
        lines = [
            _line(line, random.Random(which) if same else rng) if rng.random() < share else line
            for line in content.decode().split()
        ]
        made.files[name] = (head + "\n".join(lines) + "\n").replace("\n", newline).encode(codec)
        made.about.append(f"{name}: {lines[:2]}")
    if rng.random() < 0.15:
        gone = rng.choice([name for name in made.files if name.endswith(".png")])
        del made.files[gone]
        made.about.append(f"without {gone}")
    made.whole = False  # comments and repeated lines name fewer images
    return made

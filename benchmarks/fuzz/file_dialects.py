"""Images and folders with faults that occur in practice."""

from __future__ import annotations

import random

from benchmarks.fuzz.bytes_changed import change_bytes
from benchmarks.fuzz.painted import (
    PAINTINGS,
    Files,
    Link,
    PaintedSet,
    class_list,
    coco,
    darknet,
    encoded,
    voc,
    yolo,
    yolo_lists,
)

SETS = (yolo, yolo, yolo_lists, coco, voc, darknet, class_list)
FORMATS = (
    *(
        (".jpg", 0, "RGB"),
        (".jpg", 6, "RGB"),
        (".jpg", 8, "RGB"),
        (".jpg", 0, "CMYK"),
        (".png", 0, "RGBA"),
        (".png", 6, "RGB"),
    ),
    *(
        (".png", 0, "P"),
        (".webp", 0, "RGB"),
        (".webp", 6, "RGB"),
        (".tif", 0, "RGB"),
        (".tif", 8, "RGB"),
        (".bmp", 0, "RGB"),
    ),
    *((".gif", 0, "P"), (".tif", 0, "CMYK"), (".ppm", 0, "RGB")),
)
OTHER_CONTENT = (
    *(
        b"",
        b"\0",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"<html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
    ),
    *(
        b"RIFF\0\0\0\0WEBP",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*\0\0\0\x08",
        b"\0\0\0\x20ftypavif",
        b"{}",
        b"P6\n1 1\n255\n",
    ),
    *(b"P6\n99999999 99999999\n255\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0"),
)


def _images(files: Files) -> list[str]:
    return sorted(name for name in files if name.rpartition(".")[2] in {"png", "jpg", "webp", "tif", "bmp", "gif"})


def change_image_bytes(rng: random.Random) -> PaintedSet:
    """Change the bytes of some images of any format, cut them off, or replace them."""
    suffix, orientation, mode = rng.choice(FORMATS[:-1])
    made = yolo()
    for name in _images(made.files):
        each = next(each for each in PAINTINGS if each.stem == name.rpartition("/")[2][:-4])
        made.files.pop(name)
        made.files[name[:-4] + suffix] = encoded(each, suffix, orientation, mode)
    for name in rng.sample(_images(made.files), rng.choice([1, 1, 2])):
        data = made.files[name]
        assert isinstance(data, bytes)
        kind = rng.random()
        if kind < 0.4:
            data = change_bytes(data, rng)
        elif kind < 0.6:
            data = data[: rng.randrange(len(data))]
        elif kind < 0.8:
            at = rng.randrange(min(len(data), 120))
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind < 0.9:
            data += rng.choice([b"\0" * 9, b"\n", data])
        else:
            data = rng.choice(OTHER_CONTENT)
        made.files[name] = data
        made.changed_images.add(name.rpartition("/")[2])
        made.about.append(f"{name}: {mode}, {orientation}")
    made.whole = False
    return made


def change_image_formats(rng: random.Random) -> PaintedSet:
    """Store some or all images in other formats, modes and orientations, some under the suffix of another format."""
    made = rng.choice([yolo, yolo_lists, class_list, darknet])()
    share, choices = rng.choice([1, 0.5, 0.2]), rng.sample(FORMATS, rng.choice([1, 2]))
    lying = rng.random() < 0.3
    for name in _images(made.files):
        if rng.random() < share:
            each = next(each for each in PAINTINGS if each.stem == name.rpartition("/")[2][:-4])
            suffix, orientation, mode = rng.choice(choices)
            made.files.pop(name)
            made.files[name if lying else name[:-4] + suffix] = encoded(each, suffix, orientation, mode)
    made.about.append(f"{choices}, {share}{', with the suffix of PNG' if lying else ''}")
    return made


def change_folders(rng: random.Random) -> PaintedSet:
    """Move, rename, remove, repeat or link files and folders, or add what operating systems and tools add."""
    made = rng.choice(SETS)()
    made.whole = False
    for _ in range(rng.choice([1, 1, 2, 3])):
        kind = rng.choice([_rename, _remove, _add, _repeat, _link, _nest, _twins, _fill])
        made.about.append(kind.__name__.strip("_"))
        kind(made, rng)
    return made


def _folders(files: Files) -> list[str]:
    return sorted({name[: i + 1] for name in files for i, sign in enumerate(name) if sign == "/"}) or [""]


def _move(files: Files, old: str, new: str) -> None:
    for name in [name for name in files if name.startswith(old)]:
        files[new + name.removeprefix(old)] = files.pop(name)


def _rename(made: PaintedSet, rng: random.Random) -> None:
    old = rng.choice(_folders(made.files))
    above, _, name = old.rstrip("/").rpartition("/")
    above = f"{above}/" if above else ""
    new = rng.choice(
        [
            name.upper(),
            name.title(),
            "valid",
            "train",
            "images",
            "labels",
            "a b",
            "日本",
            "%20",
            "#1",
            name + " ",
            "x\ny",
        ]
    )
    if not any(each.startswith(f"{above}{new}/") for each in made.files):
        _move(made.files, old, f"{above}{new}/")
        made.about.append(f"{old} -> {new}")


def _remove(made: PaintedSet, rng: random.Random) -> None:
    victims = (
        [rng.choice(_folders(made.files))]
        if rng.random() < 0.2
        else rng.sample(sorted(made.files), min(len(made.files), rng.choice([1, 1, 5])))
    )
    for victim in victims:
        made.about.append(f"without {victim}")
        for name in [name for name in made.files if name.startswith(victim)]:
            del made.files[name]


def _add(made: PaintedSet, rng: random.Random) -> None:
    name = rng.choice(
        [
            "._train0.png",
            ".DS_Store",
            "Thumbs.db",
            "desktop.ini",
            "__MACOSX/._x.png",
            "readme.txt",
            "notes.txt",
            "classes.txt",
            "labels.cache",
            "x.json",
            "x.xml",
            "README.roboflow.txt",
            "empty/",
            "data.yml",
            "args.yaml",
            "a.zip",
            "predefined_classes.txt",
        ]
    )
    content = rng.choice([b"", b"\0\5\x16\7", b"cat\n", b"{}", b"a: 1\n", b"<a/>", b"hello\n"])
    made.files[rng.choice(["", *_folders(made.files)]) + name] = content
    made.about.append(name)


def _repeat(made: PaintedSet, rng: random.Random) -> None:
    old = rng.choice(_folders(made.files))
    for name in [name for name in made.files if name.startswith(old)]:
        made.files[f"{rng.choice(['copy', 'a/b', 'images', 'backup'])}/{name}"] = made.files[name]


def _link(made: PaintedSet, rng: random.Random) -> None:
    name = rng.choice(["a.png", "loop", "train", "images", "set.txt", "train0.png"])
    target = rng.choice(
        ["..", ".", "nowhere.png", "/dev/null", "loop", "train0.png", "train", "images", "/proc/self/mem"]
    )
    place = rng.choice(["", *_folders(made.files)]) + name
    if not any(each.startswith(f"{place}/") for each in made.files):
        made.files[place] = Link(target)
        made.about.append(f"{place} -> {target}")


def _nest(made: PaintedSet, rng: random.Random) -> None:
    made.files = {f"set/{name}": data for name, data in made.files.items()}
    made.source = rng.choice([made.source, f"set/{made.source}", "set"])


def _twins(made: PaintedSet, rng: random.Random) -> None:
    """Add an image with other content and the name of an existing one, but another suffix or folder."""
    images = _images(made.files)
    if images:
        name, other = rng.choice(images), rng.choice(PAINTINGS)
        if rng.random() < 0.5:
            twin = name[:-4] + rng.choice([".jpg", ".bmp"])
        else:
            folder, _, file = name.rpartition("/")
            twin = f"{folder}/more/{file}"
        made.files[twin] = encoded(other, f".{twin.rpartition('.')[2]}")
        made.about.append(f"{twin}, which shows {other.stem}")


def _fill(made: PaintedSet, rng: random.Random) -> None:
    """Put a folder where a file was, or a file where a folder was."""
    if rng.random() < 0.5:
        victim = rng.choice(sorted(made.files))
        del made.files[victim]
        made.files[f"{victim.rstrip('/')}/"] = b""
    else:
        victim = rng.choice(_folders(made.files)).rstrip("/")
        for name in [name for name in made.files if name.startswith(f"{victim}/")]:
            del made.files[name]
        if victim:
            made.files[victim] = b"x\n"
    made.about.append(victim)

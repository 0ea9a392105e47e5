"""The data YAML of YOLO layout: its keys, its entries with their lines, and its class names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lehr.data.formats.class_names import check_count, class_names, refuse_doubtful
from lehr.data.formats.data_yaml_keys import (
    FOREIGN,
    KEYS,
    METADATA,
    MODEL_KEYS,
    NAMES_KEYS,
    OTHER_NAMES,
    TRAINING_KEYS,
)
from lehr.data.text_files import UTF_8, Text, decode_text
from lehr.errors import InputError
from lehr.runtime.reading import read_start
from lehr.sample import SPLITS, Fault, Severity
from lehr.yaml_files import compose_mapping, is_null, line_of, read_bytes

SHOWN = 300
"""Characters of an entry that are shown."""
MOST_KEYS = 10_000
"""Keys from which a file is not a data YAML."""
NESTED, MOST_ENTRIES = 16, 1_000_000
"""Depth, and number of entries, from which a list of lists is refused."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A place that a data YAML names.

    Attributes:
        text: as written.
        line: its line, from 1.
    """

    text: str
    line: int

    @property
    def shown(self) -> str:
        """The text for messages, cut where it is long."""
        return self.text if len(self.text) <= SHOWN else f"{self.text[:SHOWN]}..."


@dataclass(slots=True)
class DataYaml:
    """A data YAML as read.

    Attributes:
        path: the file.
        names: the class names.
        root: the folder that `path` names; None if it does not.
        splits: the entries of each split that it names.
        keypoints: how many keypoints an object has, and numbers each, by `kpt_shape`; None of other data.
        task: what the data are for, as they say themselves; None if they do not.
        faults: what was read otherwise than it stands, or not at all.
    """

    path: Path
    names: tuple[str, ...] = ()
    root: Entry | None = None
    splits: dict[str, list[Entry]] = field(default_factory=dict)
    keypoints: tuple[int, int] | None = None
    task: str | None = None
    faults: list[Fault] = field(default_factory=list)

    def note(self, kind: str, message: str, line: int | None, severity: Severity = Severity.NOTE) -> None:
        """Add a fault of this file."""
        self.faults.append(Fault(kind, self.path, message, line, severity))


def read_data_yaml(path: Path) -> DataYaml:
    """Read a data YAML.

    Raises:
        InputError: it is missing or malformed, lacks a key that is needed, or has one twice.
    """
    text = _text(path)
    pairs = compose_mapping(text.content, path)
    if not pairs:
        raise InputError(f"{path}: must hold 'train', 'val' and 'names', but is empty.")
    if len(pairs) > MOST_KEYS:
        raise InputError(f"{path}: has {len(pairs):,} keys, so it is not a data YAML. Give 'train', 'val' and 'names'.")
    found = DataYaml(path)
    nodes, unused = _by_key(found, pairs)
    for split in SPLITS:
        entries = _entries(path, split, nodes.get(split))
        if entries:
            found.splits[split] = entries
    _refuse_misspelt(path, nodes, unused)
    root = _entries(path, "path", nodes.get("path"))
    if len(root) > 1:
        raise InputError(f"{path}:{root[1].line}: 'path' must be one folder. Give lists to 'train' and 'val'.")
    found.root = root[0] if root else None
    folders = [path.parent, *([path.parent / found.root.text] if found.root else [])]
    found.names, faults = class_names(path, nodes["names"], folders)
    found.faults += faults
    if "nc" in nodes:
        check_count(path, nodes["nc"], len(found.names))
    places = [entry.text for entries in (root, *found.splits.values()) for entry in entries]
    refuse_doubtful(path, text.encoding, text.certain, [*places, *found.names])
    if text.encoding != UTF_8:
        found.note("encoding", f"is in {text.encoding} and is read accordingly. Save it as UTF-8 for other programs", 1)
    if not found.splits:
        raise InputError(f"{path}: names neither 'train' nor 'val'. Add the folders or lists of images.")
    return found


def looks_like_data_yaml(path: Path) -> bool:
    """Return whether a YAML file has the keys of a data set, so that broken ones get their message."""
    if path.stem.lower() in ("data", "dataset"):
        return True
    try:
        text = decode_text(read_start(path, 1 << 16))
    except OSError:
        return False
    keys = set(re.findall(r"^['\"]?(\w+)['\"]?\s*:", text.content.lower(), re.MULTILINE)) if text else set()
    return len(keys & {"train", "val", "valid", "names"}) > 1 and not keys & (MODEL_KEYS | TRAINING_KEYS)


def _text(path: Path) -> Text:
    data = read_bytes(path, "Check --data.")
    text = decode_text(data)
    if text is None:
        raise InputError(f"{path}: is not text, so not YAML. Check --data.")
    return text


def _by_key(
    found: DataYaml, pairs: list[tuple[yaml.ScalarNode, yaml.Node]]
) -> tuple[dict[str, yaml.Node], list[tuple[str, int]]]:
    """The node of each key that Lehr knows, under its own name, and the other keys, which are noted."""
    path = found.path
    nodes: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    unused: list[tuple[str, int]] = []
    exact = {key.value for key, _ in pairs}
    for key, node in pairs:
        wanted = _known_key(key.value, exact)
        if wanted is None:
            if not _note_task(found, key.value, node, line_of(key)):
                unused.append((key.value, line_of(key)))
            continue
        if wanted in nodes:
            raise InputError(
                f"{path}:{line_of(key)}: '{wanted}' is given there and on line {lines[wanted]}. Remove one of them."
            )
        nodes[wanted], lines[wanted] = node, line_of(key)
        if key.value != wanted:
            found.note("key-name", f"'{key.value}' is read as '{wanted}'", line_of(key))
    _refuse_other_files(path, nodes, {key.lower() for key, _ in unused})
    if "names" not in nodes:
        raise InputError(_no_names(path, unused))
    _note_unused(found, unused)
    return nodes, unused


def _known_key(key: str, exact: set[str]) -> str | None:
    """Lehr's name of a key: the same, in other letters, or another name of a split that has not its own."""
    if key in KEYS:
        return key
    lower = key.strip().lower()
    if lower in KEYS:
        return lower if lower not in exact else None
    for split, others in OTHER_NAMES.items():
        if lower in others and split not in exact and not exact & set(others[: others.index(lower)]):
            return split
    return None


def _note_task(found: DataYaml, key: str, node: yaml.Node, line: int) -> bool:
    """Note keys of data that Lehr reads only in part; return whether the key is one of these."""
    given = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
    message = ""
    if key == "kpt_shape":
        shape = [part.value for part in node.value] if isinstance(node, yaml.SequenceNode) else []
        if len(shape) == 2 and all(isinstance(part, str) and re.fullmatch(r"\d{1,6}", part) for part in shape):
            found.keypoints = (int(shape[0]), int(shape[1])) if shape[1] in ("2", "3") else None
        message = "is a pose data set ('kpt_shape'): its boxes are used, its keypoints are not"
    elif key == "task":
        found.task = given.lower() or None
        uses = {
            "segment": "the boxes around its polygons are used",
            "pose": "its boxes are used, its keypoints are not",
            "obb": "the upright boxes around its boxes are used",
        }
        if found.task not in (None, "detect", "detection"):
            use = uses.get(given.lower(), "Lehr detects objects, and needs their boxes")
            message = f"is for the task '{given}': {use}"
    elif key == "channels" and given not in ("3", ""):
        message = f"its images have {given} channels: Lehr reads the three of colour images, and grey as colour"
    if message:
        found.note("other-task", message, line, Severity.WARNING)
    return bool(message) or key == "task"


def _note_unused(found: DataYaml, unused: list[tuple[str, int]]) -> None:
    """Note the keys that are not used, once for those of other programs and once for unknown ones."""
    others = [(key, line) for key, line in unused if key.lower() not in METADATA]
    foreign = [(key, line) for key, line in others if key.lower() in FOREIGN]
    unknown = [(key, line) for key, line in others if key.lower() not in FOREIGN]
    if foreign:
        found.note("unused-key", f"{_listed(foreign)}: of other programs, not used by Lehr", foreign[0][1])
    if unknown:
        hints = [f" Did you mean '{near}' by '{key}'?" for key, _ in unknown if (near := _near(key, KEYS))]
        message = f"{_listed(unknown)}: unknown, not used.{''.join(hints)} Known keys: {', '.join(KEYS)}"
        found.note("unused-key", message, unknown[0][1], Severity.WARNING)


def _listed(keys: list[tuple[str, int]]) -> str:
    return ", ".join(f"'{key[:40]}'" for key, _ in keys[:8]) + (", ..." if keys[8:] else "")


def _refuse_misspelt(path: Path, nodes: dict[str, yaml.Node], unused: list[tuple[str, int]]) -> None:
    """Refuse a data YAML without `train` or `val` but with a key that is nearly so spelt."""
    for split in ("train", "val"):
        for key, line in unused if split not in nodes else ():
            if _near(key, (split, *OTHER_NAMES[split])):
                raise InputError(f"{path}:{line}: unknown key '{key}'. Did you mean {split}?")


def _near(key: str, wanted: tuple[str, ...]) -> str | None:
    """The first of some names that a key is but one letter from: another, one more, one less, or two exchanged."""
    key = key.strip().lower()
    for name in wanted:
        if name == "nc" or key == name:
            continue
        swapped = {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)}
        other = len(key) == len(name) and sum(a != b for a, b in zip(key, name, strict=True)) == 1
        if key in _shorter(name) or name in _shorter(key) or key in swapped or other:
            return name
    return None


def _shorter(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(len(word))}


def _refuse_other_files(path: Path, nodes: dict[str, yaml.Node], unused: set[str]) -> None:
    """Refuse YAML files that are for something else than data."""
    if "train" in nodes or "val" in nodes:
        return
    if unused & MODEL_KEYS:
        raise InputError(f"{path}: describes a model, not data. Give --data the YAML with 'train', 'val' and 'names'.")
    if len(unused & TRAINING_KEYS) > 1:
        raise InputError(f"{path}: holds options of training, not data. Give it as --config or --hyp.")


def _no_names(path: Path, unused: list[tuple[str, int]]) -> str:
    for key, line in unused:
        if key.lower() in NAMES_KEYS or _near(key, ("names",)):
            return f"{path}:{line}: 'names' is missing. Did you mean 'names' by '{key}'?"
    beside = next((name for name in ("classes.txt", "obj.names", "coco.names") if (path.parent / name).is_file()), None)
    hint = f" {beside} has them: write names: {beside}." if beside else ""
    return f"{path}: 'names' is missing. Add the class names as a list or a map from number to name.{hint}"


def _entries(path: Path, key: str, node: yaml.Node | None) -> list[Entry]:
    """The texts of a node: one, or a list of them, or a list of lists; none if it is empty.

    Raises:
        InputError: there is something else in it.
    """
    entries: list[Entry] = []
    waiting = [(node, 0)] if node is not None else []
    visited = 0
    while waiting:
        each, depth = waiting.pop()
        visited += 1
        if is_null(each):
            continue
        if isinstance(each, yaml.SequenceNode) and depth < NESTED and visited < MOST_ENTRIES:
            waiting += [(item, depth + 1) for item in reversed(each.value)]
        elif isinstance(each, yaml.ScalarNode):
            entries += _entry(path, each)
        else:
            raise InputError(f"{path}:{line_of(each)}: '{key}' must be a folder, a .txt of images, or a list of them.")
    return entries


def _entry(path: Path, node: yaml.ScalarNode) -> list[Entry]:
    text, line = str(node.value), line_of(node)
    if re.search(r"[\0-\x1f\x7f]", text):
        raise InputError(
            f"{path}:{line}: {text!r} has a control character: in double quotes a backslash begins an escape. Write "
            "the path with slashes, in single quotes, or without quotes."
        )
    return [Entry(text, line)] if text.strip() else []

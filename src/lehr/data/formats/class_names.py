"""Class names as data YAMLs and text files give them, each with the text that it is written as."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import yaml

from lehr.data.folder_index import is_file
from lehr.data.limits import NAMES_BYTES
from lehr.data.text_files import decode_text
from lehr.errors import InputError
from lehr.runtime.reading import read_file
from lehr.sample import Fault, Severity
from lehr.yaml_files import is_null, line_of

NUMBERED = re.compile(r"(\d+)\s*[:.,)\s]\s*(\S.*)")
"""A line of a text file that gives a class its number before its name."""

Names = list[tuple[str, int]]
"""Class names in the order of their numbers, each with its line."""


def class_names(path: Path, node: yaml.Node, folders: Sequence[Path]) -> tuple[tuple[str, ...], list[Fault]]:
    """Class names of a data YAML's `names`, in the order of their numbers.

    Args:
        path: the data YAML, for messages.
        node: a list of names, a map from number to name, or the name of a text file with one per line.
        folders: where such a text file may be, in order.

    Raises:
        InputError: they are none of these, have gaps or repetitions, or one is empty or no text.
    """
    faults: list[Fault] = []
    if isinstance(node, yaml.ScalarNode):
        listing = _names_file(node, folders)
        if listing is None:
            raise InputError(f"{path}:{line_of(node)}: {_no_list(node)}")
        message = f"'names' is a file: the class names are read from {listing}"
        found, faults = read_names_file(listing)
        return found, [Fault("names-form", path, message, line_of(node), Severity.NOTE), *faults]
    if isinstance(node, yaml.SequenceNode):
        items = [_item(path, number, item, faults) for number, item in enumerate(node.value)]
    else:
        items = _of_map(path, node, faults)
    if not items:
        raise InputError(f"{path}:{line_of(node)}: 'names' is empty. Name at least one class.")
    _refuse_repetition(path, [(item.value, line_of(item)) for item in items])
    return tuple(item.value for item in items), faults + _as_written(path, items)


def read_names_file(path: Path) -> tuple[tuple[str, ...], list[Fault]]:
    """Class names of a text file, one per line, such as `classes.txt` or `obj.names`.

    Raises:
        InputError: it cannot be read, or has no name, an empty line among the names, or a name twice.
    """
    try:
        text = decode_text(read_file(path, NAMES_BYTES))
    except OSError as error:
        raise InputError(f"{path}: the class names cannot be read ({error.strerror}).") from None
    if text is None:
        raise InputError(f"{path}: is not text. It must name one class per line.")
    refuse_doubtful(path, text.encoding, text.certain, [text.content])
    lines = [line.strip() for line in text.content.rstrip().splitlines()]
    if not lines:
        raise InputError(f"{path}: is empty. Name one class per line.")
    empty = next((number for number, line in enumerate(lines, 1) if not line), None)
    if empty is not None:
        raise InputError(f"{path}:{empty}: there is an empty line among the class names. Remove it, or name the class.")
    faults = []
    numbered = [NUMBERED.fullmatch(line) for line in lines]
    if [int(each[1]) for each in numbered if each] == list(range(len(lines))):
        lines = [each[2] for each in numbered if each]
        message = "the number before each class name is taken for its number, not for part of the name"
        faults.append(Fault("names-form", path, message, 1, Severity.WARNING))
    _refuse_repetition(path, [(line, number) for number, line in enumerate(lines, 1)])
    return tuple(lines), faults


def refuse_doubtful(path: Path, encoding: str, certain: bool, texts: Sequence[str]) -> None:
    """Refuse texts that matter where their encoding is a guess.

    Args:
        path: their file.
        encoding: the likeliest one.
        certain: whether the bytes say so.
        texts: names and paths, as read in that encoding.

    Raises:
        InputError: one of them has characters that another encoding would read otherwise.
    """
    doubtful = [text for text in texts if not text.isascii()]
    if certain or not doubtful or encoding == "UTF-16":
        return
    shown = ", ".join(re.findall(r"\w*[^\x00-\x7f]\w*", " ".join(doubtful))[:5])
    raise InputError(
        f"{path}: is not in UTF-8. It looks like {encoding}, in which it would read {shown}. Save it as UTF-8: "
        f"`iconv -f {encoding} -t UTF-8`, or an editor's 'Save with encoding'."
    )


def check_count(path: Path, node: yaml.Node, count: int) -> None:
    """Compare `nc` with the number of class names.

    Raises:
        InputError: it is not a whole number, or another one.
    """
    if is_null(node):
        return
    given = node.value.strip() if isinstance(node, yaml.ScalarNode) else None
    number = re.fullmatch(r"\+?([0-9]{1,9})(\.0*)?", given or "")
    if number is None:
        shown = f"'{given[:60]}'" if given is not None else "a list or map"
        raise InputError(
            f"{path}:{line_of(node)}: 'nc' is {shown}, not a whole number. Write nc: {count}, or remove the line."
        )
    if int(number[1]) != count:
        raise InputError(f"{path}:{line_of(node)}: 'nc' is {int(number[1])} but 'names' has {count}. Make them agree.")


def _item(path: Path, number: int, node: yaml.Node, faults: list[Fault]) -> yaml.ScalarNode:
    """The name that an item of the list, or a value of the map, gives to the class of a number."""
    line = line_of(node)
    if isinstance(node, yaml.MappingNode):
        named = _name_of_map(number, node)
        if named is not None:
            if not any(fault.kind == "names-form" for fault in faults):
                message = "each item of 'names' is a map; its name is taken. Write names: [first, second]"
                faults.append(Fault("names-form", path, message, line, Severity.WARNING))
            node = named
    if not isinstance(node, yaml.ScalarNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a map"
        raise InputError(
            f"{path}:{line}: class {number} of 'names' is {kind}, not a name. Remove the brackets, and put a name "
            "with a colon in quotes."
        )
    if not node.value.strip():
        raise InputError(f"{path}:{line}: class {number} of 'names' is empty. Give it a name, or remove it.")
    return node


def _as_written(path: Path, items: Sequence[yaml.ScalarNode]) -> list[Fault]:
    """Say which names are kept as written though YAML's types would make something else of them."""
    faults = []
    meant = {i: _yaml_value(item.value) for i, item in enumerate(items) if item.style is None}
    nothing = [i for i, value in meant.items() if value == "None"]
    others = [i for i, value in meant.items() if value not in (items[i].value, "None")]
    if nothing:
        named = ", ".join(f"class {i} is named '{items[i].value}'" for i in nothing)
        message = f"{named}, YAML's word for nothing, and keeps that name. Put it in quotes, or name the class"
        faults.append(Fault("name-as-written", path, message, line_of(items[nothing[0]]), Severity.WARNING))
    if others:
        named = ", ".join(f"'{items[i].value}' ({meant[i]})" for i in others[:5]) + (", ..." if others[5:] else "")
        message = f"names keep their text, though other readers of YAML change it: {named}. Put them in quotes"
        faults.append(Fault("name-as-written", path, message, line_of(items[others[0]]), Severity.NOTE))
    return faults


def _yaml_value(text: str) -> str:
    """The text that a plain scalar would become by way of YAML's types."""
    if text[0] not in yaml.SafeLoader.yaml_implicit_resolvers:
        return text
    try:
        return str(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, OverflowError):
        return text


def _name_of_map(number: int, node: yaml.MappingNode) -> yaml.Node | None:
    """The name in an item such as `0: cat` or `{id: 0, name: cat}`, where it is the item of that number."""
    pairs = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    if len(pairs) == 1:
        return pairs.get(str(number))
    at = next((pairs[key] for key in ("id", "index", "number") if key in pairs), None)
    if at is not None and at.value != str(number):
        return None
    return pairs.get("name")


def _of_map(path: Path, node: yaml.Node, faults: list[Fault]) -> list[yaml.ScalarNode]:
    """Names of a map from number to name, in the order of their numbers."""
    line = line_of(node)
    pairs = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
    for key, value in pairs:
        if re.match(r"\d+:\S", key.value) and is_null(value):
            raise InputError(
                f"{path}:{line_of(key)}: a blank is missing after the colon of '{key.value}'. Write "
                f"{key.value.replace(':', ': ', 1)}."
            )
    if pairs and all(_number(value) is not None and _number(key) is None for key, value in pairs):
        message = (
            "'names' gives each name its number; it is read accordingly. Other trainers want the number first, 0: cat"
        )
        faults.append(Fault("names-form", path, message, line, Severity.WARNING))
        pairs = [(value, key) for key, value in pairs]
    numbered: dict[int, yaml.Node] = {}
    lines: dict[int, int] = {}
    for key, value in pairs:
        number = _number(key)
        if number is None:
            raise InputError(
                f"{path}:{line_of(key)}: the key '{key.value}' of 'names' is not a whole number from 0. Write names as "
                "a list, or as a map from number to name."
            )
        if number in numbered:
            raise InputError(f"{path}:{line_of(key)}: class {number} is named on line {lines[number]} already.")
        numbered[number], lines[number] = value, line_of(key)
    _refuse_gaps(path, line, sorted(numbered))
    return [_item(path, number, numbered[number], faults) for number in sorted(numbered)]


def _number(node: yaml.Node) -> int | None:
    given = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
    return int(given) if re.fullmatch(r"[0-9]{1,9}", given) else None


def _refuse_gaps(path: Path, line: int, numbers: list[int]) -> None:
    if not numbers or numbers[-1] == len(numbers) - 1:
        return
    known = set(numbers)
    missing = list(islice((number for number in range(numbers[-1]) if number not in known), 6))
    shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
    hint = ""
    if numbers[0] == 1:
        hint = " If the labels count from 0 as they must, count the names from 0 too."
    raise InputError(
        f"{path}:{line}: 'names' must count its classes from 0 without gaps, but names no class {shown} (it has "
        f"{numbers[0]} to {numbers[-1]}). Give every number a name.{hint}"
    )


def _refuse_repetition(path: Path, names: Names) -> None:
    numbers: dict[str, int] = {}
    for number, (name, line) in enumerate(names):
        if name in numbers:
            raise InputError(
                f"{path}:{line}: the class '{name}' is named twice, as {numbers[name]} and {number}. Name each once."
            )
        numbers[name] = number


def _names_file(node: yaml.ScalarNode, folders: Sequence[Path]) -> Path | None:
    """The text file of class names that a scalar names; None if there is none."""
    name = node.value.strip()
    if not name or len(name) > 1000 or "\n" in name or "\0" in name:
        return None
    return next((folder / name for folder in folders if is_file(folder / name)), None)


def _no_list(node: yaml.ScalarNode) -> str:
    """Say why a text is not a list of names, and how to write what is likely meant."""
    text = node.value.strip()
    if not text or is_null(node):
        return "'names' is empty. Name at least one class."
    if re.match(r"\d+:\S", text):
        number, name = text.split()[0].split(":", 1)
        wanted = f"{number[:20]}: {name[:60]}"
        return f"'names' is the text '{text[:60]}': a blank is missing after the colon. Write {wanted}."
    if text[0] in "[{":
        return "'names' is a list in quotes, which is a text. Remove the quotes around it."
    if re.search(r"\.(txt|names|csv|json)$", text):
        return f"'names' is the file '{text}', which does not exist. Write the names themselves as a list."
    wanted = ", ".join(part.strip() for part in re.split(r"[,;]", text) if part.strip())[:200]
    return (
        f"'names' is the text '{text[:60]}', not a list or a map from number to name. Write names: [{wanted}], in "
        "brackets."
    )

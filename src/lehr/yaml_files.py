"""Reading YAML mappings, with messages that name file, line, cause and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lehr.errors import InputError
from lehr.runtime.reading import TooLarge, read_file

MAX_BYTES = 16 * 2**20
"""Size of a YAML file from which it is refused: options and data sets need no more, and reading it takes minutes."""
MOST_VALUES = 1_000_000
"""Values, lines and values of aliases from which a YAML file is refused."""
MOST_OPEN = 1_000
"""Brackets open at once from which a YAML file is refused: the time to parse it grows with their square."""
LONG = 2**15
"""Characters from which a text is parsed by libyaml: Python's own parser says more clearly what is wrong."""

Parsed = TypeVar("Parsed")


def read_mapping(path: Path, remedy: str = "Give an existing YAML file.", *, links: bool = True) -> dict[Any, Any]:
    """The names and values of a YAML file; empty when the file is.

    Args:
        path: the file.
        remedy: what to do when it cannot be read, for the message.
        links: whether it may be a link; those in the folder of a run may not.

    Raises:
        InputError: the file is missing, is not YAML, or is not a mapping.
    """
    text = _unicode(read_bytes(path, remedy, links=links), path, remedy)
    content = _parsed(text, path, lambda given: _load(given, path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold 'name: value' lines.{_missing_blank(text)}")
    return content


def read_bytes(path: Path, remedy: str, *, links: bool = True) -> bytes:
    """The bytes of a YAML file.

    Raises:
        InputError: it is missing, or too large to be one.
    """
    try:
        return read_file(path, MAX_BYTES, links=links)
    except TooLarge:
        raise InputError(
            f"{path}: is larger than {MAX_BYTES >> 20} MB, so it is not a YAML file of options or data."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). {remedy}") from None


def compose_mapping(text: str, path: Path) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The top-level keys of a YAML text and their nodes, in order, every scalar as the text that it is written as.

    Merge keys (`<<: *base`) are followed; of a key that a mapping has and inherits, its own comes first. Aliases are
    not expanded, and no tag is interpreted.

    Args:
        text: of the file.
        path: of the file, for messages.

    Raises:
        InputError: the text is not YAML, is not a mapping, or has tags that name objects of Python.
    """
    node = _parsed(text, path, lambda given: yaml.compose(given, Loader=_parser(given, yaml.BaseLoader, "CBaseLoader")))
    if node is None or (isinstance(node, yaml.ScalarNode) and is_null(node)):
        return []
    for each in _all_nodes(node):
        if "python" in each.tag:
            tag = each.tag.replace("tag:yaml.org,2002:", "!!")
            raise InputError(f"{path}:{line_of(each)}: the tag '{tag}' asks for an object of Python. Remove it.")
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path}:{line_of(node)}: must hold 'name: value' lines.{_missing_blank(text)}")
    pairs: list[tuple[yaml.ScalarNode, yaml.Node]] = []
    _add_pairs(node, pairs, set())
    return pairs


def line_of(node: yaml.Node) -> int:
    """The line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node) -> bool:
    """Return whether a node is empty or written as one of YAML's words for nothing."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null", "Null", "NULL")


def line_of_key(path: Path, key: str) -> int:
    """The line, from 1, on which a top-level name of a readable YAML mapping stands; 1 when it is not there."""
    text = _unicode(read_bytes(path, ""), path, "")
    return next((line_of(name) for name, _ in compose_mapping(text, path) if name.value == key), 1)


def _add_pairs(node: yaml.MappingNode, pairs: list[tuple[yaml.ScalarNode, yaml.Node]], seen: set[int]) -> None:
    """Append a mapping's pairs, then those that it inherits, each mapping once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    inherited: list[yaml.MappingNode] = []
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value == "<<" and key.style is None:
            bases = value.value if isinstance(value, yaml.SequenceNode) else [value]
            inherited += [base for base in bases if isinstance(base, yaml.MappingNode)]
        else:
            pairs.append((key, value))
    own = {key.value for key, _ in pairs}
    for base in inherited:
        found: list[tuple[yaml.ScalarNode, yaml.Node]] = []
        _add_pairs(base, found, seen)
        pairs += [(key, value) for key, value in found if key.value not in own]
        own |= {key.value for key, _ in found}


def _all_nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """A node and all in it, each once, however often aliases repeat it."""
    seen, waiting = {id(node)}, [node]
    while waiting:
        each = waiting.pop()
        yield each
        for part in _parts(each):
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)


def _unicode(data: bytes, path: Path, remedy: str) -> str:
    codec = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        cause = "is not text, so not YAML" if b"\0" in data else "is not in UTF-8. Save it in that encoding"
        raise InputError(f"{path}:{line}: {cause}. {remedy}".rstrip()) from None


def _parser(text: str, usual: Any, quick: str) -> Any:
    """A loader for a text: that of libyaml, which is ten times as quick, where it is long and libyaml is there."""
    return getattr(yaml, quick, usual) if len(text) > LONG else usual


def _load(text: str, path: Path) -> Any:
    """Parse a YAML text into values.

    Raises:
        InputError: its aliases stand for themselves, or for more values than a file can hold.
    """
    loader = _parser(text, yaml.SafeLoader, "CSafeLoader")(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_bounded(node, path)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _require_bounded(root: yaml.Node, path: Path) -> None:
    """Refuse aliases that repeat values thousands of times, or refer to a value that contains them."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        key = id(node)
        if key in sizes:
            continue
        parts = _parts(node)
        if not done:
            if key in open_nodes:
                raise InputError(f"{path}:{line_of(node)}: an alias refers to a value that contains it. Write it out.")
            open_nodes.add(key)
            waiting.append((node, True))
            waiting += [(part, False) for part in parts if id(part) not in sizes]
        else:
            open_nodes.discard(key)
            sizes[key] = 1 + sum(sizes[id(part)] for part in parts)
            if sizes[key] > MOST_VALUES:
                raise InputError(
                    f"{path}:{line_of(node)}: its aliases stand for more than {MOST_VALUES:,} values. Write out what "
                    "is meant, or remove them."
                )


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """The nodes in a node, keys and values."""
    if isinstance(node, yaml.ScalarNode):
        return []
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]


def _parsed(text: str, path: Path, parse: Callable[[str], Parsed]) -> Parsed:
    if text.count("\n") + text.count(",") > MOST_VALUES:
        raise InputError(
            f"{path}: has more than {MOST_VALUES:,} lines and values, so it is not a YAML file of options or data. "
            "Name images in a list, one per line."
        )
    try:
        if _open_brackets(text) > MOST_OPEN:
            raise RecursionError
        return parse(text)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply to be options or a data set.") from None
    except yaml.YAMLError as error:
        line, cause = _explain(text, error)
        raise InputError(f"{path}{f':{line}' if line else ''}: is not valid YAML: {cause}") from None
    except (ValueError, TypeError, OverflowError, AttributeError) as error:  # values that look like dates or numbers
        raise InputError(f"{path}: holds a value that YAML cannot make ({error}). Put such values in quotes.") from None


def _open_brackets(text: str) -> int:
    """Count brackets that are open at once, those in quotes too; no further than to the first that is one too many."""
    if text.count("[") + text.count("{") <= MOST_OPEN:
        return 0
    depth = most = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        most = max(most, depth)
        if most > MOST_OPEN:
            break
    return most


def _explain(text: str, error: yaml.YAMLError) -> tuple[int | None, str]:
    """The line of a syntax error, from 1, and what to do about it."""
    lines = text.splitlines()
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        line = text[:position].count("\n") + 1 if isinstance(position, int) else None
        return line, "it holds a character that is not text. Remove it."
    line = int(mark.line) + 1
    shown = lines[mark.line] if mark.line < len(lines) else ""
    begun = f" (what begins on line {context.line + 1})" if context is not None and context.line != mark.line else ""
    if context is not None and begun and ("stream end" in problem or "end of stream" in problem):
        line, begun = int(context.line) + 1, ""
    if "escape" in problem or "expected escape sequence" in problem:
        return line, (
            f"in double quotes a backslash begins an escape ({shown.strip()[:80]}). Write the path with slashes "
            "(C:/data), in single quotes, or without quotes."
        )
    if "'\\t'" in problem or shown.startswith("\t"):
        return line, "there is a tab where spaces belong. Indent with spaces."
    blank = _missing_blank(text)
    if blank:
        return line, blank.strip()
    if "expected a single document" in str(getattr(error, "context", "")) or "document" in problem:
        return line, "a second document ('---') begins there. Keep one."
    if "alias" in problem or "alias" in str(getattr(error, "context", "")):
        return line, f"a value that begins with '*' must be in quotes ({shown.strip()[:80]})."
    if "cannot start any token" in problem:
        return line, f"{problem}. Put such a value in quotes."
    if "mapping values are not allowed" in problem:
        return line, (
            "there is a colon and a space inside a value, or the indentation is not that of the lines above. Put the "
            "value in quotes, or fix the indentation."
        )
    return line, f"{problem}{begun}. Look for a bracket or quote that is not closed, a missing comma, or indentation."


def _missing_blank(text: str) -> str:
    """A sentence about the first line that lacks the blank after its colon; empty if none does."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r"\s*(?:-\s+)?([A-Za-z_]\w+|\d+):(?!\s|$|//)", line)
        if found:
            return f" A blank is missing after the colon of '{found[1]}:' on line {number}."
    return ""

"""Messages for users of Python: `--imgsz 640` becomes `imgsz=640`, shell commands are kept."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, get_args, get_origin

from lehr.options import GROUPS

SWITCHES = frozenset(
    {"agnostic", "dynamic", "half", "int8", "nms", "record", "single_cls", "skip_broken", "square", "tta"}
)
"""Options of `Detector` that are True or False, besides those of a run."""
WORDS = frozenset({"auto", "cpu", "cuda", "mps", "shapes"})
"""Words that are values of options whose type does not list them."""
COMMAND = re.compile(r"lehr (?:[a-z]+ )?[^`\n;]*?(?=`|[.:,](?:\s|$)| or |\n|;|$)")
OPTION = re.compile(
    r"(?<![\w-])--(?P<no>no-)?(?P<name>[a-z][a-z0-9-]*)"
    r"(?:[ =](?P<value>'[^'\n]*'|\"[^\"\n]*\"|[^\s,;:()'\"]+(?:,[^\s,;:()'\"]+)*))?"
)
PLAIN = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?|[A-Z][A-Z_]*")


@cache
def _known() -> tuple[frozenset[str], frozenset[str]]:
    """Names of the switches, and words that are values."""
    fields = [(name, field.annotation) for group in GROUPS.values() for name, field in group.model_fields.items()]
    words = {str(each) for _, kind in fields for part in (kind, *get_args(kind)) for each in _choices(part)}
    return SWITCHES | {name for name, kind in fields if kind is bool}, WORDS | words


def _choices(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def in_python(message: str) -> str:
    """Return a message with options as keywords of Python; shell commands in it are kept.

    Args:
        message: as the shell has it.

    Examples:
        >>> in_python("--imgsz 640: remove it, or add --skip-broken. See `lehr val --help`.")
        'imgsz=640: remove it, or add skip_broken=True. See `lehr val --help`.'
    """
    parts, end = [], 0
    for command in COMMAND.finditer(message):
        parts += [OPTION.sub(_keyword, message[end : command.start()]), command[0]]
        end = command.end()
    return "".join([*parts, OPTION.sub(_keyword, message[end:])]).removeprefix("options: ")


def _keyword(match: re.Match[str]) -> str:
    """One option as a keyword, with its value where one follows."""
    name, value = match["name"].replace("-", "_"), match["value"]
    switches, words = _known()
    rest = match[0][match.end("name") - match.start() :]
    if name in switches:
        return f"{name}={match['no'] is None}{rest}"
    if match["no"] is not None:
        name = f"no_{name}"
    if value is None:
        return name + rest
    bare = value.rstrip(".")
    tail = value[len(bare) :]
    if PLAIN.fullmatch(bare) or bare[:1] in "'\"":
        return f"{name}={bare}{tail}"
    heads = match.string[match.end() : match.end() + 1] == ":"
    if heads or bare in words or any(each in "/." or each.isdigit() for each in bare):
        return f'{name}="{bare}"{tail}'
    return name + rest

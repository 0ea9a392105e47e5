"""Arguments as people type them, written as the options of a command: `epochs=3`, `cache=True`, `lehr train x.yaml`.

Who comes from another trainer writes name=value. Each such argument becomes the option of that name, with what its
value means here; whatever is not understood stays as it is, so that the command answers it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from cyclopts import App, Argument, CycloptsError

from lehr.errors import InputError
from lehr.weights.best_of_run import best_of_run

PAIR = re.compile(r"(?!\d)([\w-]+)=(.*)", re.DOTALL)
"""name=value, but no path or address with a sign of equality in it."""
TRUE, FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})
ON, OFF = ("auto", "on", "ram"), ("off", "none")
"""What True and False mean where an option is no switch: the first of these that it takes."""
MEANINGS = {("batch", "-1"): "auto"}
"""Values of other trainers, and what is the same here."""
MODEL_FILE = ".yaml"
"""Ending of a model's name in other trainers, where it is a file."""
WEIGHTS = (".pt", ".pth", ".onnx", ".safetensors")
STANDARD_INPUT = "/dev/stdin"
"""The standard input as the parser takes it, for whom a lone hyphen is an option."""
SIZES = re.compile(r"[\[(]?\s*(\d+)\s*[,x ]\s*(\d+)\s*[\])]?", re.IGNORECASE)
"""Two sides of an image where there is one, such as 640,480."""


@dataclass(frozen=True, slots=True)
class _Options:
    """Options of a command.

    Attributes:
        by_name: its arguments by their names without hyphens, e.g. "single-cls".
        has_positional: whether it takes arguments without a name.
    """

    by_name: Mapping[str, Argument]
    has_positional: bool

    def find(self, name: str) -> str | None:
        """Return the own name of an option that is written in any way, with another trainer's name, too."""
        plain = name.strip("-").lower().replace("_", "-")
        renamed = _other_names()[0].get(plain.replace("-", "_"), "").replace("_", "-")
        return next((each for each in (plain, renamed) if each in self.by_name), None)


def as_options(arguments: Sequence[str], app: App) -> list[str]:
    """Write the arguments of a command line as options of its command.

    Args:
        arguments: as typed, without the program's name.
        app: the program.

    Raises:
        InputError: an option for one number is given several.
    """
    try:
        chain, apps, rest = app.parse_commands(arguments)
        if not chain or chain[-1].startswith("-"):
            return list(arguments)
        collection = apps[-1].assemble_argument_collection()
    except (CycloptsError, ValueError):  # of a group of commands; what is wrong is said where it is parsed
        return list(arguments)
    names = {name.lstrip("-"): each for each in collection for name in each.names if name.startswith("--")}
    options = _Options(names, any(each.index is not None for each in collection))
    return [*arguments[: len(arguments) - len(rest)], *_written(deque(rest), options)]


def _written(given: deque[str], options: _Options) -> Iterator[str]:
    """The arguments behind the command's name, each as an option where it is understood."""
    may_name_data = "data" in options.by_name and not options.has_positional
    may_name_data = may_name_data and not any(each.split("=")[0] in ("data", "--data") for each in given)
    while given:
        typed = given.popleft()
        pair = PAIR.fullmatch(typed)
        if typed == "--":
            yield from (typed, *given)
            return
        if typed.startswith("--"):
            yield from _of_option(typed, given, options)
        elif pair is not None and not Path(typed).exists():
            yield from _of_pair(typed, pair[1], pair[2], options)
        elif may_name_data and not typed.startswith("-"):
            may_name_data = False
            yield from ("--data", typed)
        elif typed == "-" and options.has_positional:
            yield STANDARD_INPUT
        else:
            yield typed


def _of_option(typed: str, given: deque[str], options: _Options) -> Iterator[str]:
    """An option with the values behind it, which are taken from the arguments."""
    name, equals, value = typed[2:].partition("=")
    argument = options.by_name.get(name)
    if argument is None:
        yield typed
    elif equals:
        yield from _with_value(name, value, argument)
    elif _is_switch(argument):
        says = bool(given) and given[0].lower() in TRUE | FALSE
        yield from _with_value(name, given.popleft() if says else "true", argument)
    else:
        yield typed
        for _ in range(_count_values(given, argument)):
            yield from _meant(name, given.popleft(), argument)


def _of_pair(typed: str, name: str, value: str, options: _Options) -> Iterator[str]:
    """The option that name=value is; a name that is unknown here becomes one all the same, so that it is answered."""
    if name == "model" and "weights" in options.by_name and value.lower().endswith(WEIGHTS):
        name = "weights"
    if name == "model" and value.endswith(MODEL_FILE):
        value = value.removesuffix(MODEL_FILE)
    if name == "source" and options.has_positional:
        yield value
        return
    own = options.find(name)
    if own is not None:
        yield from _with_value(own, value, options.by_name[own])
    elif any(name in names for names in _other_names()) or not options.has_positional:
        yield f"--{name.replace('_', '-')}={value}"
    else:
        yield typed


def _with_value(name: str, value: str, argument: Argument) -> Iterator[str]:
    """An option with its value; a switch alone, or with `no-` before its name."""
    word = value.lower()
    if _is_switch(argument) and word in TRUE | FALSE | {"0", "1"}:
        positive = name.removeprefix("no-") if f"--{name.removeprefix('no-')}" in argument.names else name
        wanted = (word in TRUE or word == "1") == (positive == name)
        negative = next((each for each in argument.names if each == f"--no-{positive}"), None)
        if wanted:
            yield f"--{positive}"
        elif negative is not None:
            yield negative
        return  # one that is not set, and cannot be set otherwise
    if word == "none" and not _choices(argument.hint) and type(None) in get_args(argument.hint):
        return  # unset, as it is anyway
    if word in TRUE and "bool" not in str(argument.hint) and argument.token_count()[1] and not _choices(argument.hint):
        yield f"--{name}"  # an option that needs no value, such as --resume
        return
    yield f"--{name}"
    yield from _meant(name, value, argument)


def _meant(name: str, value: str, argument: Argument) -> tuple[str, ...]:
    """A value as the option takes it; several where it holds several numbers and the option takes them.

    Raises:
        InputError: it is several numbers, where one is meant.
    """
    sides = SIZES.fullmatch(value)
    if name == "imgsz" and sides is not None:
        if argument.token_count()[1]:
            return sides[1], sides[2]
        longest = max(int(sides[1]), int(sides[2]))
        raise InputError(
            f"--imgsz {value}: is one number, the longest side; images keep their shape. Give --imgsz {longest}."
        )
    if name == "weights":
        return (str(best_of_run(value)),)
    word, choices = value.lower(), _choices(argument.hint)
    if (name, word) in MEANINGS:
        return (MEANINGS[name, word],)
    own = next((each for each in choices if each.lower() == word), None)
    if own is not None:
        return (own,)
    if word in TRUE | FALSE:
        return (next((each for each in (ON if word in TRUE else OFF) if each in choices), value),)
    return (value,)


def _count_values(given: Sequence[str], argument: Argument) -> int:
    """Count the values that follow an option: as many as it takes."""
    count, takes_all = argument.token_count()
    for place, typed in enumerate(given):
        is_option = typed.startswith("-") and not re.fullmatch(r"-\.?\d.*", typed)
        is_pair = place > 0 and PAIR.fullmatch(typed) is not None and not Path(typed).exists()
        if is_option or (is_pair if takes_all else place >= count):
            return place
    return len(given)


def _other_names() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Names of other trainers, renamed here and absent; loaded with all options, so only where they are used."""
    from lehr.options.other_names import ABSENT, RENAMED

    return RENAMED, ABSENT


def _is_switch(argument: Argument) -> bool:
    return int(argument.token_count()[0]) == 0


def _choices(hint: Any) -> list[str]:
    """The words that an option takes."""
    if get_origin(hint) is Literal:
        return [each for each in get_args(hint) if isinstance(each, str)]
    return [each for part in get_args(hint) for each in _choices(part)]

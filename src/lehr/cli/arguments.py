"""Arguments as people type them, written as the options of a command: `epochs=3`, `cache=True`, `lehr train x.yaml`.

Users of other trainers write name=value, and some names of theirs. Each such argument becomes Lehr's option, with what
its value means here. Whatever is not understood is left unchanged, so that the command answers it.
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
"""Meanings of True and False for an option that is not a switch: the first of these that it takes."""
MEANINGS = {("batch", "-1"): "auto"}
"""Values of other trainers, and what is the same here."""
BARE = {"cache": "ram", "multi-scale": "0.5"}
"""Options that are switches in other trainers, and the value that they have there when they are on."""
MODEL_FILE = ".yaml"
"""Suffix of a model's name in other trainers, where it is a file."""
WEIGHTS = (".pt", ".pth", ".onnx", ".safetensors")
STANDARD_INPUT = "/dev/stdin"
"""The standard input in a form that the parser takes; it reads a lone hyphen as an option."""
SIZES = re.compile(r"[\[(]?\s*(\d+)\s*[,x ]\s*(\d+)\s*[\])]?", re.IGNORECASE)
"""Two sides of an image instead of one, such as 640,480."""


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
        renamed = _other_names().get(plain.replace("-", "_"), "").replace("_", "-")
        if plain == "model" and plain not in self.by_name:
            renamed = "weights"  # a model that is evaluated, or exported, is one that was trained
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
        options = _options_of(apps[-1])
    except (CycloptsError, ValueError):  # of a group of commands; what is wrong is said where it is parsed
        return list(arguments)
    return [*arguments[: len(arguments) - len(rest)], *_written(deque(rest), options)]


def _options_of(command: App) -> _Options:
    """Return the options of a command."""
    collection = command.assemble_argument_collection()
    names = {name.lstrip("-"): each for each in collection for name in each.names if name.startswith("--")}
    return _Options(names, any(each.index is not None for each in collection))


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
    typed_name, equals, value = typed[2:].partition("=")
    name = typed_name if typed_name in options.by_name else options.find(typed_name)
    if name is None and equals and _asks_for_nothing(typed_name, value):
        return
    if name is None and typed_name == "source" and options.has_positional:
        yield from ((value,) if equals else ())
        return
    if name is None:
        yield typed
        return
    argument = options.by_name[name]
    if equals:
        yield from _with_value(name, value, argument)
    elif _is_switch(argument):
        says = bool(given) and given[0].lower() in TRUE | FALSE
        yield from _with_value(name, given.popleft() if says else "true", argument)
    elif name in BARE and (not given or given[0].startswith("--")):
        yield from (f"--{name}", BARE[name])
    elif given and _is_unset(given[0], argument):
        given.popleft()
    elif name == "resume" and given and given[0].lower() in TRUE:
        given.popleft()
        yield f"--{name}"
    elif name == "imgsz" and len(given) > 1 and given[0].isdigit() and given[1].isdigit():
        yield from _with_value(name, f"{given.popleft()},{given.popleft()}", argument)
    else:
        yield f"--{name}"
        for _ in range(_count_values(given, argument)):
            yield from _meant(name, given.popleft(), argument)


def _of_pair(typed: str, name: str, value: str, options: _Options) -> Iterator[str]:
    """The option that name=value is; a name that is unknown here becomes one all the same, so that it is answered."""
    if name == "model" and "weights" in options.by_name and (value.lower().endswith(WEIGHTS) or Path(value).is_dir()):
        name = "weights"
    if name == "source" and options.has_positional:
        yield value
        return
    own = options.find(name)
    if own is not None:
        yield from _with_value(own, value, options.by_name[own])
    elif _asks_for_nothing(name, value):
        return
    elif not options.has_positional or _is_known_elsewhere(name):
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
    if _is_unset(value, argument):
        return
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
    if name == "model":
        return (value.removesuffix(MODEL_FILE),)
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


def _other_names() -> Mapping[str, str]:
    """Names of other trainers for the same options; loaded with all options, so only where they are used."""
    from lehr.options.other_names import SAME

    return SAME


def _is_known_elsewhere(name: str) -> bool:
    """Return whether another trainer has an option of this name."""
    from lehr.options.other_names import ABSENT, RENAMED, SAME

    return any(name.replace("-", "_") in names for names in (SAME, RENAMED, ABSENT))


def _asks_for_nothing(name: str, value: str) -> bool:
    """Return whether an option of another trainer, which is absent here, asks for what Lehr does anyway."""
    from lehr.options.other_names import asks_for_nothing

    return asks_for_nothing(name.strip("-").lower().replace("-", "_"), value.lower())


def _is_unset(value: str, argument: Argument) -> bool:
    """Return whether a value says that an option is not set, as it is without it: None; or no weights."""
    return (
        (value.lower() == "none" or (value == "" and argument.name == "--weights"))
        and not _choices(argument.hint)
        and type(None) in get_args(argument.hint)
    )


def _is_switch(argument: Argument) -> bool:
    return int(argument.token_count()[0]) == 0


def _choices(hint: Any) -> list[str]:
    """The words that an option takes."""
    if get_origin(hint) is Literal:
        return [each for each in get_args(hint) if isinstance(each, str)]
    return [each for part in get_args(hint) for each in _choices(part)]

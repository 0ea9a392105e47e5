"""Messages for command lines that cannot be understood: what is wrong, and what to type instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts import (
    ValidationError as CycloptsValidationError,
)

NEAR, NEARER, SHORT, MAX_NEAR = 0.65, 0.75, 4, 3
"""Similarity of names, 0 to 1, from which one counts as a misspelling; that of names longer than this many letters; and
how many are named."""
EXAMPLES = {
    "data": "data.yaml",
    "epochs": "100",
    "first": "runs/train",
    "imgsz": "640",
    "batch": "16",
    "out": "out/",
    "run": "runs/train",
    "second": "runs/train-2",
    "src": "yolov8n.pt",
    "step": "100",
    "to": "yolo",
    "weights": "runs/train",
}
"""Values for messages, by the names of options and arguments."""
BOUND = re.compile(r"Must be (<=?|>=?) ([\d.]*\d)")
"""A bound in the parser's own words, and in ours."""
BOUNDS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
KINDS = {int: "a whole number", float: "a number"}


def describe_refusal(error: CycloptsError) -> str:
    """Say what is wrong with a command line.

    Args:
        error: of the parser.
    """
    from pydantic import ValidationError

    cause = error.__cause__ or error.__context__
    if isinstance(cause, ValidationError):
        from lehr.config import describe_validation

        return describe_validation(cause, "")
    other = _describe_other_trainers(error)
    if other is not None:
        return other
    return f"{_describe(error)}\nSee `lehr {' '.join([*(error.command_chain or ()), '--help'])}`."


def _describe(error: CycloptsError) -> str:
    """Say what is wrong, in a line."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or next((token.keyword for token in error.argument.tokens if token.keyword), None)
        if name is not None:
            return f"{name} needs a value{_example(name)}."
        own = error.argument.name
        return _required(own if error.argument.index is None else own.lstrip("-").upper())
    if isinstance(error, UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        return f"Unknown option: {name}.{_did_you_mean(name, _names(error))}"
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        name = error.unused_tokens[0]
        near = difflib.get_close_matches(name.lower(), _commands(error), 1, NEAR)
        return f"Unknown command: {name}.{f' Did you mean {near[0]}?' if near else ''}"
    if isinstance(error, CoercionError) and error.token is not None and error.argument is not None:
        allowed = _allowed(error.argument.hint, error.target_type)
        if allowed:
            return f"{error.token.keyword or error.argument.name} is '{error.token.value}'; it must be {allowed}."
    if isinstance(error, CycloptsValidationError) and error.argument is not None and error.argument.tokens:
        bound = BOUND.search(error.exception_message)
        token = error.argument.tokens[0]
        if bound is not None:
            return f"{token.keyword} is '{token.value}'; it must be {BOUNDS[bound[1]]} {bound[2]}."
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        words = " ".join(error.unused_tokens)
        return f"Not understood: {words}. Options are written --name VALUE or name=VALUE."
    return str(error).strip()


def _commands(error: CycloptsError) -> list[str]:
    """The commands among which an unknown one was looked for."""
    from lehr.cli.commands import OVERVIEWS

    overview = OVERVIEWS.get(" ".join(error.command_chain or ()), {})
    return [command.name for group in overview.values() for command in group]


def _allowed(hint: Any, kind: Any) -> str:
    """Return the values that an option takes, in words; empty where they are not known."""
    words = [each for each in get_args(hint) if isinstance(each, str)] if get_origin(hint) is Literal else []
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else KINDS.get(kind, "")


def _required(name: str) -> str:
    """Say that an option is required, or an argument, whose name is in capitals."""
    return f"{name} is required{_example(name)}."


def _example(name: str) -> str:
    value = EXAMPLES.get(name.removeprefix("--").lower())
    if value is None:
        return ""
    return f", e.g. {f'{name} {value}' if name.startswith('--') else value}"


def _names(error: UnknownOptionError) -> list[str]:
    """The options of the command, those that switch something off included."""
    return [name for each in error.argument_collection for name in each.names if name.startswith("--")]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the options that are written almost alike, or of which the beginning was given."""
    own = sorted({each.lstrip("-") for each in known})
    plain = name.lstrip("-").lower().replace("_", "-")
    begun = [each for each in own if each.startswith(plain)] if len(plain) > 1 else []
    near = begun if 0 < len(begun) <= MAX_NEAR else difflib.get_close_matches(plain, own, MAX_NEAR, NEAR)
    if len(plain) > SHORT:
        near = [each for each in near if each in begun or difflib.SequenceMatcher(None, plain, each).ratio() >= NEARER]
    return f" Did you mean {' or '.join(f'--{each}' for each in near)}?" if near else ""


def _describe_other_trainers(error: CycloptsError) -> str | None:
    """Answer a command or an option of another trainer; None where the error is about something else."""
    from lehr.options.other_names import describe_other_command, describe_other_name

    if isinstance(error, UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        own = {own.lstrip("-").replace("-", "_") for each in error.argument_collection for own in each.names}
        hint = describe_other_name(name, own | {f"no_{each}" for each in own})
        return None if hint is None else f"There is no {name}{hint}"
    if isinstance(error, UnusedCliTokensError | UnknownCommandError):
        words = error.unused_tokens or []
        hint = describe_other_command(words)
        if hint is None:
            return None
        return hint if "=" in words[0] else f"There is no command {words[0]}. {hint}"
    return None

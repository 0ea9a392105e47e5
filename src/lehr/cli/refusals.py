"""Messages for command lines that cannot be understood: what is wrong, and what to type instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

NEAR, MAX_NEAR = 0.65, 3
"""Likeness of names, 0 to 1, from which one is taken for another's misspelling, and how many of them are named."""
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

        return describe_validation(cause)
    other = _describe_other_trainers(error)
    if other is not None:
        return other
    return f"{_describe(error)}\nSee `lehr {' '.join([*(error.command_chain or ()), '--help'])}`."


def _describe(error: CycloptsError) -> str:
    """Say what is wrong, in a line."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or next((token.keyword for token in error.argument.tokens if token.keyword), None)
        return f"{error.argument.name} is required." if name is None else f"{name} needs a value."
    if isinstance(error, UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        return f"Unknown option: {name}.{_did_you_mean(name, _names(error))}"
    if isinstance(error, CoercionError) and error.token is not None and error.target_type in KINDS:
        return f"{error.token.keyword} is '{error.token.value}'; it must be {KINDS[error.target_type]}."
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        words = " ".join(error.unused_tokens)
        return f"Not understood: {words}. Options are written --name VALUE or name=VALUE."
    return str(error).strip()


def _names(error: UnknownOptionError) -> list[str]:
    """The options of the command, those that switch something off included."""
    return [name for each in error.argument_collection for name in each.names if name.startswith("--")]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the options that are written almost alike, or of which the beginning was given."""
    own = sorted({each.lstrip("-") for each in known})
    plain = name.lstrip("-").lower().replace("_", "-")
    begun = [each for each in own if each.startswith(plain)] if len(plain) > 1 else []
    near = begun if 0 < len(begun) <= MAX_NEAR else difflib.get_close_matches(plain, own, MAX_NEAR, NEAR)
    return f" Did you mean {' or '.join(f'--{each}' for each in near)}?" if near else ""


def _describe_other_trainers(error: CycloptsError) -> str | None:
    """Answer a command or an option of another trainer; None where the error is about something else."""
    from lehr.options.other_names import describe_other_command, describe_other_name

    if isinstance(error, UnknownOptionError):
        name = (error.token.keyword or error.token.value).partition("=")[0]
        own = {own.lstrip("-").replace("-", "_") for each in error.argument_collection for own in each.names}
        hint = describe_other_name(name, own | {f"no_{each}" for each in own})
        return None if hint is None else f"Unknown option: {name}. {hint}"
    if isinstance(error, UnusedCliTokensError | UnknownCommandError):
        words = error.unused_tokens or []
        hint = describe_other_command(words)
        return None if hint is None else f"Unknown: {' '.join(words)}. {hint}"
    return None

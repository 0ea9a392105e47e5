"""Errors for people: each says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from reprlib import Repr


class LehrError(Exception):
    """A run that failed for a reason that fits in one message.

    Attributes:
        exit_code: what the command exits with; 1 for a failed run.
        told: whether another process has reported it already.
    """

    exit_code = 1
    told = False


class InputError(LehrError):
    """Bad input or options: names the file, the line if there is one, and the remedy. Exit code 2."""

    exit_code = 2


class UnknownOption(InputError, TypeError):
    """A keyword that a method of `Detector` does not have."""


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names closest to a misspelt one, closest first; empty when none is close."""
    return difflib.get_close_matches(name.lower(), list(known), n=count, cutoff=0.6)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that offers the nearest known names, or lists all of them when none is near."""
    names = sorted(known)
    close = nearest_names(name, names)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(names)}."


class Diverged(LehrError):
    """A run whose loss or gradients would not stay finite, whatever was tried."""


class Stopped(LehrError):
    """A run that was asked to stop by a signal and has saved its state; exits with 128 plus the signal."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def shown(value: object) -> str:
    """A value for a message, cut short: a value in an untrusted file may be as long as the file."""
    if isinstance(value, int) and value.bit_length() > 1000:  # Python does not print numbers of thousands of digits
        return "a number of hundreds of digits"
    short = Repr()
    short.maxstring = short.maxother = short.maxlong = 200
    short.maxlevel, short.maxlist, short.maxdict = 3, 20, 20
    return short.repr(value)

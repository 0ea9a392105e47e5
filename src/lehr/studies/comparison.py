"""Comparison of the definition of a study with that of a command that would join it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lehr.config import TrainConfig
from lehr.errors import InputError
from lehr.options import MAY_LACK, in_current_form
from lehr.runtime.plain_text import one_line
from lehr.search.definition import Definition
from lehr.search.fitness import DEFAULT, FORMER_DEFAULT

SHOWN = 200
"""Characters of a value that a message shows."""


def require_same(there: Definition, mine: Definition, what: str) -> None:
    """Check that two definitions belong to the same study.

    Raises:
        InputError: they are not; names what differs.
    """
    if there.kind != mine.kind:
        raise InputError(f"{what} is one of `lehr {there.kind}`. Choose another --name.")
    lines = [
        *_differences(_complete(there.options, mine.options), mine.options, "--"),
        *_differences(_with_default_of_now(_in_current_form(there.search), mine.search), mine.search, ""),
        *(["the data set: other images or labels"] if there.data != mine.data else []),
    ]
    if lines:
        listed = "\n".join(f"  {line}" for line in lines[:12])
        more = f"\n  and {len(lines) - 12} more" if len(lines) > 12 else ""
        raise InputError(
            f"{what} exists already, and has different settings, so its trials could not be compared. Choose another "
            f"--name, or continue it unchanged:\n{listed}{more}"
        )


def _complete(there: Mapping[str, Any], mine: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in a study's options with defaults of newer options."""
    default = TrainConfig().flat()
    return {**{name: default[name] for name in mine if name in MAY_LACK}, **in_current_form(there)}


def _in_current_form(search: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a study, with the current spelling of its techniques' options."""
    techniques = {
        name: {side: in_current_form(options) for side, options in sides.items()}
        for name, sides in search.get("techniques", {}).items()
    }
    return {**search, "techniques": techniques} if techniques else dict(search)


def _with_default_of_now(there: Mapping[str, Any], mine: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of a study, with the current default fitness if both use the default of their time."""
    if (there.get("fitness"), mine.get("fitness")) == (FORMER_DEFAULT, DEFAULT):
        return {**there, "fitness": DEFAULT}
    return there


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str) -> list[str]:
    """List what differs between two mappings, one line each; nested mappings are compared, too."""
    lines = []
    for name in [*there, *(name for name in here if name not in there)]:
        old, new = there.get(name), _plain(here.get(name))
        if old == new:
            continue
        shown_name = one_line(name.replace("_", "-") if prefix == "--" else name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differences(old, new, f"{prefix}{one_line(name)} ")
        else:
            lines.append(f"{prefix}{shown_name}: {_told(old)} there, {_told(new)} here")
    return lines


def _plain(value: Any) -> Any:
    """Convert a value as a JSON round trip does."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _told(value: Any) -> str:
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys():
        low, high = (f"{end:g}" if isinstance(end, int | float) else str(end) for end in (value["low"], value["high"]))
        text = str(value["choices"]) if value.get("choices") else f"{low} to {high}"
    else:
        text = "nothing" if value is None else str(value)
    return one_line(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")

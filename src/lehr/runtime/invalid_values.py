"""Errors of validated values in words."""

from __future__ import annotations

from pydantic_core import ErrorDetails

KINDS = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "string_type": "text",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "list_type": "a list",
}
"""Short words by the kind of error."""
BOUNDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}


def expected_value(error: ErrorDetails) -> str:
    """Say what a value must be, to follow "must be"; at most 200 characters."""
    if error["type"] in KINDS:
        return KINDS[error["type"]]
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    for long, short in BOUNDS.items():
        if message.startswith(long):
            message = short + message.removeprefix(long)
    return message[:200]


def describe_fault(error: ErrorDetails) -> str:
    """Say what is wrong with a value, to follow its name: "is missing", or what it must be."""
    return "is missing" if error["type"] == "missing" else f"must be {expected_value(error)}"

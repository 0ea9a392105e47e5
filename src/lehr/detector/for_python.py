"""Answers for users of Python: on unknown keywords, and with options in messages spelled as keywords."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from lehr.detector.familiar_names import BY_METHOD
from lehr.errors import LehrError, UnknownOption
from lehr.options.other_names import describe_other_name
from lehr.options.python_spelling import in_python
from lehr.runtime.spelling import speaks_shell

Given = ParamSpec("Given")
Returned = TypeVar("Returned")
NEAR, MAX_NEAR = 0.6, 2
"""Likeness from which a name is taken for another's misspelling, and how many of them are named."""


def for_python(method: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Answer keywords that a method does not have, and spell the options in its errors as keywords."""
    parameters = inspect.signature(method).parameters.values()
    any_name = any(each.kind is each.VAR_KEYWORD for each in parameters)
    known = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY or each.name not in ("self", "cls")]

    @wraps(method)
    def answered(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        if not any_name:
            require_known(method.__name__, kwargs, known)
        with python_spelling():
            return method(*args, **kwargs)

    return answered


@contextmanager
def python_spelling() -> Iterator[None]:
    """Spell the options in errors as keywords, unless a command of the shell is running."""
    try:
        yield
    except LehrError as error:
        if not speaks_shell() and error.args and isinstance(error.args[0], str):
            error.args = (in_python(error.args[0]), *error.args[1:])
        raise


def require_known(method: str, given: Collection[str], known: Collection[str]) -> None:
    """Check the names of keywords.

    Args:
        method: of Detector.
        given: the names of those that were given.
        known: the names that it has.

    Raises:
        UnknownOption: it does not have one, with what to do instead.
    """
    for name in given:
        if name not in known:
            call = "Detector()" if method == "__init__" else f"Detector.{method}()"
            raise UnknownOption(f"{call} has no option {name!r}{_instead(method, name, known)}")


def _instead(method: str, name: str, known: Collection[str]) -> str:
    """The rest of the message about an unknown keyword: what to do instead."""
    familiar = BY_METHOD.get(method, {}).get(name)
    if familiar is not None:
        return f": {familiar}."
    near = difflib.get_close_matches(name, sorted(known), MAX_NEAR, NEAR)
    other = describe_other_name(name, known) if method != "__init__" else None
    if other is not None:
        return in_python(other).removeprefix(" here")
    return f". Did you mean {' or '.join(near)}?" if near else "."

"""Classes asked for by name, by number, several at once; what names none is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lehr.detections.wanted_classes import find_classes
from lehr.errors import InputError

NAMES = ("cat", "dog", "hat, red", "3", "dog")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, None),
        ("cat", (0,)),
        (["dog"], (1, 4)),  # every class of that name
        ("cat,dog", (0, 1, 4)),
        (["2", "cat, 2"], (0, 2)),
        ("hat, red", (2,)),  # a name with a comma before a list
        ("3", (3,)),  # a name before a number
        ([4, np.int64(0)], (0, 4)),
        (1, (1,)),
    ],
)
def test_classes_are_found_by_name_and_number(wanted: object, found: object) -> None:
    assert find_classes(wanted, NAMES) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("cats", "no class 'cats'. Did you mean cat?"),
        ("5", "5 is not the number of a class, 0 to 4"),
        (-1, "-1 is not the number"),
        ([1.5], "1.5 is neither the name nor the number"),
        ([True], "True is not the number"),
        ([], "none is named. They are 0 cat, 1 dog"),
        ("cat,\x1b[2J", r"no class .\\x1b\[2J."),
    ],
)
def test_what_is_no_class_is_refused(wanted: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_classes(wanted, NAMES)  # type: ignore[arg-type]

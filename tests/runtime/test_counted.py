"""Counts agree with their nouns, everywhere: no message pluralises on its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lehr.runtime.counted import counted
from lehr.runtime.installing import how_to_install

SOURCE = Path(__file__).parents[2] / "src" / "lehr"


@pytest.mark.parametrize(
    ("number", "nouns", "said"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2, ("class",), "2 classes"),
        (3, ("batch",), "3 batches"),
        (12, ("epoch",), "12 epochs"),
        (2, ("entry",), "2 entries"),
        (2, ("day",), "2 days"),
        (1, ("image is", "images are"), "1 image is"),
        (9999, ("image is", "images are"), "9999 images are"),
        (118_287, ("image",), "118,287 images"),
    ],
)
def test_a_count_agrees_with_its_noun(number: int, nouns: tuple[str, ...], said: str) -> None:
    assert counted(number, *nouns) == said


def test_no_other_place_makes_plurals() -> None:
    own = re.compile(r"[a-z]{2}(?<!logit)\(s\)|'e?s'( if |\[| \*)|else 'e?s'")
    files = [path for path in SOURCE.rglob("*.py") if path.name != "counted.py"]
    assert not [f"{path}: {found[0]}" for path in files for found in own.finditer(path.read_text(encoding="utf-8"))]


def test_no_other_place_says_how_an_extra_is_installed() -> None:
    own = re.compile(r"pip install ['\"\\]*(lehr|\.)\[")
    files = [path for path in SOURCE.rglob("*.py") if path.name != "installing.py"]
    assert not [path for path in files if own.search(path.read_text(encoding="utf-8"))]
    assert how_to_install("plots") == "Run pip install '.[plots]' in the folder of your clone of Lehr."

"""Text of strangers cannot act upon a terminal, forge a line of a log or compute in a spreadsheet."""

from __future__ import annotations

import json

import pytest

from lehr.runtime.plain_text import as_json, csv_cell, entry, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Stra\u00dfe \u5b57 \U0001f600", "Stra\u00dfe \u5b57 \U0001f600"),
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("a\rb\x07\x00", "a\\rb\\x07\\x00"),
        ("a\u202eb", "a\\u202eb"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_control_characters_are_written_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == one_line(text) == shown
    shown.encode()


def test_newlines_stay_in_texts_of_several_lines_alone() -> None:
    assert printable("a\n\tb") == "a\n\tb" and one_line("a\n\tb") == "a\\n\\tb"


@pytest.mark.parametrize("text", ["=1+1", "@x", "+x", "-x", " =HYPERLINK(1)", "\t=1", "=cmd|' /C calc'!A0"])
def test_a_formula_becomes_text(text: str) -> None:
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize("text", ["-1.5", "+2", "1e-4", "-inf", "0.5", "cat", "a=b", ""])
def test_numbers_and_words_stay(text: str) -> None:
    assert csv_cell(text) == text


def test_the_further_lines_of_an_entry_are_indented_once() -> None:
    shown = entry("a\nlehr: b\x1b\n  c\r\n        d")
    assert shown == "a\n      lehr: b\\x1b\n        c\\r\n        d" and entry(shown) == shown


def test_json_has_escapes_and_stays_the_same_data() -> None:
    content = {"猫\x9b": ["\x1b]0;\x07\x7f", "\ud800\u202e", "a\nb", "\\u0041 \\", 1.5]}
    for indent in (None, 1):
        text = as_json(content, indent)
        assert json.loads(text) == content and "猫" in text
        assert not any(not letter.isprintable() and letter != "\n" for letter in text) and text.encode()

"""A label file becomes rows of numbers, however it was written; what is not a label file is named for what it is."""

from __future__ import annotations

import codecs

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lehr.data.labels.rows import (
    BRACKETS,
    COMMAS,
    COMMENTS,
    DECIMAL_COMMAS,
    SEMICOLONS,
    LabelRows,
    parse_rows,
)
from lehr.data.labels.text import UNKNOWN, LabelFault, decode_label

PLAIN = "0 0.5 0.25 0.125 0.1\n1 0.5 0.5 0.2 0.2\n"


def rows_of(rows: LabelRows) -> list[list[float]]:
    ends = np.cumsum(rows.lengths)
    return [part.tolist() for part in np.split(rows.values, ends[:-1])] if len(ends) else []


def habits_of(rows: LabelRows) -> set[str]:
    return {habit for habit, _, _ in rows.habits}


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (PLAIN.encode(), ""),
        (codecs.BOM_UTF8 + PLAIN.encode(), ""),
        (PLAIN.replace("\n", "\r\n").encode(), ""),
        (PLAIN.replace("\n", "\r").encode(), ""),
        (PLAIN.rstrip().encode(), ""),
        (PLAIN.replace(" ", "\t").encode(), ""),
        (PLAIN.replace(" ", "   ").encode(), ""),
        (PLAIN.replace(" ", "\u00a0").encode(), ""),
        (PLAIN.replace(" ", "\u3000").encode(), ""),
        (PLAIN.encode().replace(b" ", b"\xa0"), UNKNOWN),
        (PLAIN.encode() + b"\x1a", ""),
        (PLAIN.encode().replace(b"\n1", b"\n\xef\xbb\xbf1"), ""),  # two files with marks, joined
        (PLAIN.encode("utf-16"), "UTF-16"),
        (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), "UTF-16"),
        (PLAIN.encode("utf-16-le"), "UTF-16"),
        (PLAIN.encode("utf-16-be"), "UTF-16"),
        (PLAIN.encode("utf-32"), "UTF-32"),
        (PLAIN.encode("utf-32-le"), "UTF-32"),
        (PLAIN.encode("utf-32-be"), "UTF-32"),
    ],
)
def test_the_same_rows_come_from_every_encoding_and_line_ending(data: bytes, encoding: str) -> None:
    rows = parse_rows(data)
    assert rows_of(rows) == [[0, 0.5, 0.25, 0.125, 0.1], [1, 0.5, 0.5, 0.2, 0.2]]
    assert rows.lines.tolist() == [1, 2] and not rows.words
    assert rows.encoding == encoding


@pytest.mark.parametrize(
    ("line", "habits"),
    [
        ("1,0.5,0.25,0.125,0.1", {COMMAS}),
        ("1, 0.5, 0.25, 0.125, 0.1,", {COMMAS}),
        ("1 ,0.5 ,0.25 ,0.125 ,0.1", {COMMAS}),
        ("1;0.5;0.25;0.125;0.1", {SEMICOLONS}),
        ("1|0.5|0.25|0.125|0.1|", {SEMICOLONS}),
        ("1;0,5;0,25;0,125;0,1", {SEMICOLONS, DECIMAL_COMMAS}),
        ("1 0,5 0,25 0,125 0,1", {DECIMAL_COMMAS}),
        ("1\t0,5\t0,25\t0,125\t0,1", {DECIMAL_COMMAS}),
        ("1, 0,5, 0,25, 0,125, 0,1", {DECIMAL_COMMAS, COMMAS}),
        ("1\uff0c0.5\uff0c0.25\uff0c0.125\uff0c0.1", {COMMAS}),
        ("1 [0.5, 0.25, 0.125, 0.1]", {BRACKETS, COMMAS}),
        ('"1","0.5","0.25","0.125","0.1"', {BRACKETS, COMMAS}),
        ("1 0.5 0.25 0.125 0.1 # a cat", {COMMENTS}),
        ("1 0.5 0.25 0.125 0.1 // a cat", {COMMENTS}),
        ("1.0 5e-1 .25 +0.125 1E-1", set()),
        ("\uff11 \uff10.5 0.25 0.125 0.1", set()),
    ],
)
def test_a_line_is_read_whatever_stands_between_its_numbers(line: str, habits: set[str]) -> None:
    rows = parse_rows(f"\n{line}\n".encode())
    assert rows_of(rows) == [[1, 0.5, 0.25, 0.125, 0.1]] and rows.lines.tolist() == [2]
    assert habits_of(rows) == habits


@pytest.mark.parametrize(
    "line", ["1 0.5 0.25 0.1_25 0.1", "cat 0.5 0.5 0.1 0.1", "1,,0.5,0.5,0.1", "1 0.5.5 0.1 0.1 0.1"]
)
def test_what_is_no_number_stays_text_with_its_line(line: str) -> None:
    rows = parse_rows(f"0 0.5 0.5 0.1 0.1\n{line}\n".encode())
    assert rows_of(rows) == [[0, 0.5, 0.5, 0.1, 0.1]] and rows.words == ((2, line),)


def test_decimal_commas_between_commas_are_not_guessed() -> None:
    rows = parse_rows(b"0,0,304688,0,395833,0,328125,0,500000\n")
    assert len(rows.lengths) == 0 and len(rows.words) == 1


def test_comments_and_empty_lines_are_no_rows() -> None:
    rows = parse_rows(b"# written by a tool\n\n  \n0 0.5 0.5 0.1 0.1\n#0 0.1 0.1 0.1 0.1\n")
    assert rows.lines.tolist() == [4] and rows.habits == ((COMMENTS, 1, 2),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(range(256)), "not text"),
        (b"\0" * 100, "never written"),
        (PLAIN.encode() + b"\0" * 100, "not written to its end"),
        (PLAIN.encode() + PLAIN.encode("utf-16"), "mixes UTF-8 and UTF-16"),
        (codecs.BOM_UTF16_LE + b"0\x00 ", "not valid UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 40\n", "git lfs pull"),
        (b'{"shapes": []}', "JSON"),
        (b"<?xml version='1.0'?><annotation/>", "XML"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (np.random.default_rng(0).integers(128, 256, 200, np.uint8).tobytes(), "not text"),
    ],
)
def test_what_is_no_label_file_is_refused_with_the_cause(data: bytes, words: str) -> None:
    with pytest.raises(LabelFault, match=words):
        parse_rows(data)


def test_names_in_older_encodings_keep_their_bytes() -> None:
    text, encoding = decode_label("行人 0.5 0.5 0.1 0.1\n".encode("gbk"))
    assert encoding == "GBK" and "0.5 0.5 0.1 0.1" in text
    assert text.split()[0].encode("utf-8", "surrogateescape") == "行人".encode("gbk")


NUMBER = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)  # torch may have switched those off


@given(st.lists(st.lists(NUMBER, min_size=1, max_size=12), max_size=8), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_plain_files_are_read_to_the_bit(values: list[list[float]], end: str) -> None:
    rows = parse_rows(end.join(" ".join(map(repr, row)) for row in values).encode())
    assert rows_of(rows) == values


@given(st.binary(max_size=200) | st.text("0123456789.,;# \t\n-e'\"[]猫_", max_size=200).map(str.encode))
def test_any_bytes_are_rows_words_or_a_fault(data: bytes) -> None:
    try:
        rows = parse_rows(data)
    except LabelFault:
        return
    assert rows.lengths.sum() == len(rows.values) and len(rows.lengths) == len(rows.lines)
    assert (np.diff(rows.lines) > 0).all()

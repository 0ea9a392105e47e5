"""Text is read in the encodings that people's editors, shells and countries write."""

from __future__ import annotations

import codecs

import numpy as np
import pytest

from lehr.data.text_files import Text, decode_text, likely_encodings


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"0 0.5\n", Text("0 0.5\n")),
        (b"", Text("")),
        ("猫\n".encode(), Text("猫\n")),
        (codecs.BOM_UTF8 + b"0 0.5\n", Text("0 0.5\n", mark=True)),
        ("0 0.5\n".encode("utf-16"), Text("0 0.5\n", "UTF-16", mark=True)),
        (codecs.BOM_UTF16_BE + "猫\n".encode("utf-16-be"), Text("猫\n", "UTF-16", mark=True)),
        ("0 0.5\n".encode("utf-32"), Text("0 0.5\n", "UTF-32", mark=True)),
        ("0 0.5\n".encode("utf-16-le"), Text("0 0.5\n", "UTF-16", certain=False)),
        ("0 0.5\n".encode("utf-16-be"), Text("0 0.5\n", "UTF-16", certain=False)),
    ],
)
def test_unicode_is_read_with_and_without_its_mark(data: bytes, text: Text) -> None:
    assert decode_text(data) == text


@pytest.mark.parametrize(
    ("words", "codec", "encoding"),
    [
        ("names: [猫, 狗]", "gbk", "GBK"),
        ("行人, 汽车, 自行车, 交通灯", "gb18030", "GBK"),
        ("names: [ねこ, いぬ]", "cp932", "Shift-JIS"),
        ("names: [貓, 狗]", "big5", "Big5"),
        ("names: [кошка, собака]", "cp1251", "Windows-1251"),
        ("names: [café, père]", "latin-1", "Windows-1252"),
        ("# Größe der Kühe", "cp1252", "Windows-1252"),
    ],
)
def test_older_encodings_are_likely_where_all_becomes_letters(words: str, codec: str, encoding: str) -> None:
    assert decode_text(words.encode(codec)) == Text(words, encoding, certain=False)


def test_the_right_encoding_is_among_those_that_are_likely() -> None:
    assert "EUC-KR" in likely_encodings("고양이, 개".encode("euc-kr"))


def test_what_is_no_text_is_none() -> None:
    rng = np.random.default_rng(0)
    assert all(decode_text(rng.bytes(300)) is None for _ in range(50))
    assert decode_text(codecs.BOM_UTF16_LE + b"\x00\xd8a") is None
    assert decode_text(bytes(range(256))) is None

"""Text of a label file, whatever encoding it was written in."""

from __future__ import annotations

import codecs
import re

LEGACY = "no UTF-8"
"""Encoding of text that is neither UTF-8 nor UTF-16: numbers can be read, words are kept as their bytes."""

LEGACY_ENCODINGS = ("gb18030", "big5", "shift_jis", "euc_kr", "cp1252", "cp1251", "cp1250", "iso8859-1")
"""Encodings that a word without UTF-8 may be in, in the order in which they are tried."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8", ""),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_BARE = (
    (4, re.compile(rb"(?:[\t-\r -~]\0\0\0)+"), "utf-32-le", "UTF-32"),
    (4, re.compile(rb"(?:\0\0\0[\t-\r -~])+"), "utf-32-be", "UTF-32"),
    (2, re.compile(rb"(?:[\t-\r -~]\0)+"), "utf-16-le", "UTF-16"),
    (2, re.compile(rb"(?:\0[\t-\r -~])+"), "utf-16-be", "UTF-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_OTHER_KINDS = (
    ("version https://git-lfs", "is a pointer of Git LFS, not the file itself. Run 'git lfs pull'."),
    (
        "<?xml",
        "is XML, not lines of numbers. Pascal VOC's XML files belong into a folder of their own, see docs/data.md.",
    ),
    ("<annotation", "is XML, not lines of numbers. Give the folder of the XML files to --data."),
    ("<!doctype", "is a web page, so the download failed. Download it again."),
    ("<html", "is a web page, so the download failed. Download it again."),
    ("{", "is JSON, not lines of numbers. Export the labels in YOLO format."),
    ("[{", "is JSON, not lines of numbers. Export the labels in YOLO format."),
)


class LabelFault(ValueError):
    """A label file that cannot be used; the text is the reason and the remedy, without the file."""


def decode_label(data: bytes) -> tuple[str, str]:
    """Decode a label file.

    Bytes that are no UTF-8 are kept as surrogates (`legacy_bytes`), so that lines of numbers can be read and a word's
    encoding can be found by whether the data set knows it.

    Returns:
        The text without byte-order marks, and the encoding where it is another than UTF-8, else "".

    Raises:
        LabelFault: it is no text, or text of another kind.
    """
    text, encoding = _decode(data)
    text = text.replace("\ufeff", "").rstrip("\x1a")
    if _CONTROL.search(text):
        raise LabelFault("is not text. Restore or remove it.")
    start = text.lstrip()[:40].lower()
    for sign, reason in _OTHER_KINDS:
        if start.startswith(sign):
            raise LabelFault(reason)
    return text, encoding


def legacy_bytes(word: str) -> bytes:
    """Bytes of a word of legacy text."""
    return word.encode("utf-8", "surrogateescape")


def _decode(data: bytes) -> tuple[str, str]:
    for mark, codec, name in _BOMS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(codec), name
            except UnicodeDecodeError:
                if name:
                    raise LabelFault(f"begins as {name}, but is not valid {name}. Write it anew as UTF-8.") from None
    if b"\0" in data:
        for width, pattern, codec, name in _BARE:
            if len(data) % width == 0 and pattern.fullmatch(data):
                return data.decode(codec), name
        raise LabelFault(_reason_of_nul(data))
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape"), LEGACY


def _reason_of_nul(data: bytes) -> str:
    rest = data.replace(b"\0", b"")
    if not rest.strip():
        return "holds NUL bytes alone: it was never written (a full disk, or a power cut). Restore it."
    if data.endswith(b"\0\0") and b"\0" not in data.rstrip(b"\0"):
        return "ends in NUL bytes: it was not written to its end. Restore it."
    if re.fullmatch(rb"[\t-\r -~\xff\xfe]+", rest):
        return "mixes UTF-8 and UTF-16, as appending by '>>' in PowerShell does. Write it anew as UTF-8."
    return "is not text. Restore or remove it."

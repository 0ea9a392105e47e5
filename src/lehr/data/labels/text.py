"""Text of a label file, whatever encoding it was written in."""

from __future__ import annotations

import re

from lehr.data.text_files import LEGACY, MARKS, UTF_8, decode_text, likely_encodings

UNKNOWN = "an unknown encoding"
"""Encoding of text that is not UTF-8 and in which no words can be read."""

_UTF_32 = (("utf-32-le", re.compile(rb"(?:[\t-\r -~]\0\0\0)+")), ("utf-32-be", re.compile(rb"(?:\0\0\0[\t-\r -~])+")))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_NO_BREAK_SPACE = re.compile(r"(?<![\udc80-\udcff])\udca0(?![\udc80-\udcff])")
_OTHER_KINDS = (
    ("version https://git-lfs", "is a pointer of Git LFS, not the file itself. Run 'git lfs pull'."),
    ("<!doctype", "is a web page, so the download failed. Download it again."),
    ("<html", "is a web page, so the download failed. Download it again."),
    ("<", "is XML, not lines of numbers. Give the folder of the XML files to --data."),
    ("{", "is JSON, not lines of numbers. Export the labels in YOLO format."),
    ("[{", "is JSON, not lines of numbers. Export the labels in YOLO format."),
)


class LabelFault(ValueError):
    """A label file that cannot be used; the text is the reason and the remedy, without the file."""


def decode_label(data: bytes) -> tuple[str, str]:
    """Decode a label file.

    Of text older than UTF-8, non-ASCII bytes are kept as surrogates: lines of numbers can be read, and the encoding of
    a word is found by whether the data set knows the name (`legacy_words`).

    Returns:
        The text without byte-order marks, and the encoding where it is another than UTF-8, else "".

    Raises:
        LabelFault: it is not text, or text of another kind.
    """
    text, encoding = _decode(data)
    text = text.replace("\ufeff", "").rstrip("\x1a")  # DOS ends text so
    if _CONTROL.search(text):
        raise LabelFault("is not text. Restore or remove it.")
    start = text.lstrip()[:40].lower()
    for sign, reason in _OTHER_KINDS:
        if start.startswith(sign):
            raise LabelFault(reason)
    return text, encoding


def legacy_words(word: str) -> list[str]:
    """The words that a word of a label file may be: itself, and one for each encoding older than UTF-8.

    Short words of GBK are often valid UTF-8 too.
    """
    if word.isascii():
        return [word]
    words = [word]
    for codec, _ in LEGACY.values():
        try:
            words.append(word.encode("utf-8", "surrogateescape").decode(codec))
        except UnicodeError:
            continue
    return words


def _decode(data: bytes) -> tuple[str, str]:
    for mark, name, codec in MARKS:
        if data.startswith(mark):
            try:
                return data.decode(codec), "" if name == UTF_8 else name
            except UnicodeDecodeError:
                if name != UTF_8:
                    raise LabelFault(f"begins as {name}, but is not valid {name}. Save it as UTF-8.") from None
    if b"\0" in data:
        for codec, pattern in _UTF_32:
            if pattern.fullmatch(data):
                return data.decode(codec), "UTF-32"
        text = decode_text(data)
        if text is None:
            raise LabelFault(_reason_of_nul(data))
        return text.content, text.encoding
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        likely = likely_encodings(data)
        if not likely and len(re.findall(rb"[\x80-\xff]", data)) > 0.3 * len(data):
            raise LabelFault("is not text in any known encoding. Restore it, or save it as UTF-8.") from None
        text_with_bytes = data.decode("utf-8", "surrogateescape")
        return _NO_BREAK_SPACE.sub(" ", text_with_bytes), likely[0] if likely else UNKNOWN


def _reason_of_nul(data: bytes) -> str:
    rest = data.replace(b"\0", b"")
    if not rest.strip():
        return "holds NUL bytes alone: it was never written (a full disk, or a power cut). Restore it."
    if data.endswith(b"\0") and b"\0" not in data.rstrip(b"\0"):
        return "ends in NUL bytes: it was not written to its end. Restore it."
    if re.fullmatch(rb"[\t-\r -~\xff\xfe]+", rest):
        return "mixes UTF-8 and UTF-16, as appending by '>>' in PowerShell does. Save it as UTF-8."
    return "is not text. Restore or remove it."

"""Text files as found in practice: byte-order marks, UTF-16, and encodings older than UTF-8."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from lehr.runtime.reading import read_file

UTF_8 = "UTF-8"

MARKS = (
    (codecs.BOM_UTF8, UTF_8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "UTF-32", "utf-32"),  # begins like UTF-16's, so it comes first
    (codecs.BOM_UTF32_BE, "UTF-32", "utf-32"),
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16"),
)
"""Byte-order marks, the encoding that each stands for, and the codec that drops it."""

LEGACY = {
    "GBK": ("gb18030", re.compile(r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uff5e]")),
    "Shift-JIS": ("cp932", re.compile(r"[\u3041-\u30ff\u4e00-\u9fff\u3000-\u303f]")),
    "Big5": ("cp950", re.compile(r"[\u4e00-\u9fff\u3000-\u303f]")),
    "EUC-KR": ("cp949", re.compile(r"[\uac00-\ud7a3]")),
    "Windows-1251": ("cp1251", re.compile(r"[\u0401\u0410-\u044f\u0451]")),
    "Windows-1252": ("cp1252", re.compile(r"[\xc0-\xd6\xd8-\xf6\xf8-\xff\u0152\u0153\u0160\u0161\u017d\u017e°µ²³]")),
}
"""Encodings older than UTF-8: the codec, and the characters that words written in it have besides ASCII's."""

COMMON = {"GBK": re.compile(rb"[\xb0-\xd7][\xa1-\xfe]"), "Big5": re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]")}
"""Bytes of the characters in daily use; words in these encodings hardly have others."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of a file.

    Attributes:
        content: the text, without a byte-order mark.
        encoding: its usual name, e.g. "UTF-8", "UTF-16", "GBK".
        certain: whether the bytes say so; an encoding older than UTF-8 is only likely.
        mark: whether it began with a byte-order mark.
    """

    content: str
    encoding: str = UTF_8
    certain: bool = True
    mark: bool = False


def read_text(path: Path, limit: int) -> Text | None:
    """Read a text file in whatever encoding it is; None if it is not text.

    Args:
        path: the file.
        limit: bytes that it may have.

    Raises:
        OSError: it cannot be read.
    """
    return decode_text(read_file(path, limit))


def decode_text(data: bytes) -> Text | None:
    """Decode a file's bytes: by its byte-order mark, as UTF-8, as UTF-16, or in the likeliest older encoding.

    Returns:
        The text; None if the bytes are not text.
    """
    for mark, encoding, codec in MARKS:
        if data.startswith(mark):
            try:
                return Text(data.decode(codec), encoding, mark=True)
            except UnicodeDecodeError:
                return None
    if b"\0" in data:
        return _utf_16_without_mark(data)
    try:
        return Text(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    likely = likely_encodings(data)
    if not likely:
        return None
    return Text(data.decode(LEGACY[likely[0]][0]), likely[0], certain=False)


def likely_encodings(data: bytes) -> list[str]:
    """The encodings older than UTF-8 that some bytes are likely in, likeliest first.

    An encoding is likely where everything outside ASCII becomes letters of the scripts that it was made for.
    """
    if re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", data):
        return []
    scores: dict[str, float] = {}
    high = len(re.findall(rb"[\x80-\xff]", data))
    for name, (codec, letters) in LEGACY.items():
        try:
            beyond = re.sub(r"[\0-\x7f]", "", data.decode(codec))
        except UnicodeDecodeError:
            continue
        share = len(letters.findall(beyond)) / max(len(beyond), 1)
        if share < 0.8:
            continue
        common = COMMON.get(name)
        scores[name] = share * (2 * len(common.findall(data)) / max(high, 1) if common else 1.0)
    # A word of Cyrillic is a run of non-ASCII letters; in the languages of Western Europe they occur alone.
    if scores.keys() >= {"Windows-1251", "Windows-1252"}:
        runs = re.findall(rb"[\x80-\xff]+", data)
        scores["Windows-1251" if high < 2 * len(runs) else "Windows-1252"] *= 0.5
    return sorted((name for name, score in scores.items() if score > 0.2), key=lambda name: -scores[name])


def _utf_16_without_mark(data: bytes) -> Text | None:
    """Decode UTF-16 that lacks its mark: nearly every other byte of a text that is mostly ASCII is 0."""
    for codec, zeros in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
        if len(data) % 2 == 0 and zeros.count(0) > 0.7 * len(zeros):
            try:
                content = data.decode(codec)
            except UnicodeDecodeError:
                continue
            if "\0" not in content:
                return Text(content, "UTF-16", certain=False)
    return None

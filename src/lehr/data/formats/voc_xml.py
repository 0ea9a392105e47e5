"""XML as labelling tools and people write it: encodings, document types, and slips that leave no doubt.

What an XML file says of its own encoding is certain, unless its bytes are those of another one. Where it says nothing
it is UTF-8; bytes that are not are decoded in the likeliest older encoding, which is a guess.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError
from xml.etree.ElementTree import fromstring as parse_plain

from defusedxml.common import DefusedXmlException, EntitiesForbidden
from defusedxml.ElementTree import fromstring as parse_defused

from lehr.data.limits import XML_BYTES
from lehr.data.text_files import MARKS, UTF_8, decode_text
from lehr.runtime.reading import read_file

DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]+)[\"']")
WIDER = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030"), "gb18030"),
    **dict.fromkeys(("shift_jis", "cp932"), "cp932"),
    "euc_kr": "cp949",
    "big5": "cp950",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
}
"""Codecs that read all that a declared one does, and what programs write under its name besides."""
NO_TEXT = frozenset({"idna", "punycode", "undefined", "unicode-escape", "unicode_escape", "raw-unicode-escape"})
"""Python's codecs that no file is in."""
BARE_AMPERSAND = re.compile(r"&(?!(?:[A-Za-z_:][\w.:-]*|#\d+|#x[0-9A-Fa-f]+);)")
THREE_BYTES = re.compile(rb"[\xe0-\xef][\x80-\xbf][\x80-\xbf]")
"""A character of UTF-8 that texts in older encodings hardly ever look like."""


class XmlProblem(Exception):
    """An XML file that cannot be read.

    Attributes:
        reason: what is wrong and what to do, without the file.
        line: where, from 1; None if that has no meaning.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class XmlText:
    """The text of an XML file.

    Attributes:
        content: the text, from its first character that is not a blank.
        encoding: in which it was read.
        certain: whether the file says so, or it is UTF-8.
        note: how it was read otherwise than it says; empty if it was not.
        line: the line of the file at which `content` begins, from 1.
    """

    content: str
    encoding: str = UTF_8
    certain: bool = True
    note: str = ""
    line: int = 1


def read_xml(path: Path, limit: int = XML_BYTES) -> XmlText:
    """Read an XML file's text.

    Args:
        path: the file.
        limit: bytes that it may have.

    Raises:
        XmlProblem: it cannot be read, is empty, or its encoding is not known.
    """
    try:
        data = read_file(path, limit)
    except OSError as error:
        raise XmlProblem(f"cannot be read ({error.strerror}). Restore or remove it.") from None
    return decode_xml(data)


def decode_xml(data: bytes) -> XmlText:
    """Decode an XML file's bytes.

    Raises:
        XmlProblem: it is empty, or its encoding is not known.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise XmlProblem("is empty. Restore it; an image without objects has an XML without <object>.")
    declared = DECLARED.match(data)
    if declared is None and data.isascii() and b"\0" not in data:
        return _trimmed(XmlText(data.decode("ascii")))
    if data.startswith(tuple(mark for mark, _, _ in MARKS)) or (b"\0" in data[:200]):
        text = decode_text(data)
        if text is None:
            raise XmlProblem("is not text. Restore or remove it.")
        return _trimmed(XmlText(text.content, text.encoding))
    if declared is not None:
        return _trimmed(_as_declared(data, declared[1].decode("ascii")))
    try:
        return _trimmed(XmlText(data.decode("utf-8")))
    except UnicodeDecodeError:
        text = decode_text(data)
    if text is None:
        raise XmlProblem("is in no known encoding. Save it as UTF-8, or restore it.")
    return _trimmed(XmlText(text.content, text.encoding, certain=False))


def _as_declared(data: bytes, name: str) -> XmlText:
    """Decode bytes in the encoding that their file declares, unless they are those of another."""
    try:
        codec = codecs.lookup(name).name
    except (LookupError, UnicodeError):
        codec = ""
    codec = "" if codec in NO_TEXT else codec
    try:
        utf_8: str | None = data.decode("utf-8")
    except UnicodeDecodeError:
        utf_8 = None
    if utf_8 is not None and (
        codec == "utf-8" or data.isascii() or not codec or codec.startswith(("utf-16", "utf-32"))
    ):
        note = f"declares {name}, but is UTF-8" if not data.isascii() and codec != "utf-8" else ""
        return XmlText(utf_8, note=note)
    wide = WIDER.get(codec, codec)
    single_byte = wide.startswith(("cp125", "iso8859", "koi8", "mac"))
    if utf_8 is not None and (single_byte or THREE_BYTES.search(data)):
        return XmlText(utf_8, note=f"declares {name}, but is UTF-8")
    for each in (wide, codec):
        try:
            if each:
                return XmlText(data.decode(each), name)
        except (UnicodeError, LookupError):
            continue
    text = decode_text(data)
    if text is None or not codec:
        raise XmlProblem(f"declares the encoding {name}, but cannot be decoded so. Save it as UTF-8.")
    note = f"declares {name}, but looks like {text.encoding}"
    return XmlText(text.content, text.encoding, certain=False, note=note)


def _trimmed(text: XmlText) -> XmlText:
    """Text without the blanks before it, which an XML declaration must not have."""
    content = text.content.lstrip("\ufeff \t\r\n")
    if len(content) == len(text.content):
        return text
    line = 1 + text.content[: len(text.content) - len(content)].count("\n")
    return XmlText(content, text.encoding, text.certain, text.note, line)


def parse_xml(text: XmlText) -> tuple[Element, str]:
    """Parse an XML file's text. Tags lose their namespaces and capitals.

    A document type is skipped; one that declares entities is refused, since these can be made to fill the memory or to
    read other files.

    Returns:
        The root, and how it was read otherwise than it stands, empty if it was not.

    Raises:
        XmlProblem: it is not well-formed, or declares entities.
    """
    content, note = text.content, ""
    try:
        root = _parsed(content)
    except ParseError as error:
        if BARE_AMPERSAND.search(content) is None:
            raise _malformed(error, text) from None
        try:
            root = _parsed(BARE_AMPERSAND.sub("&amp;", content))
        except ParseError as again:
            raise _malformed(again, text) from None
        note = "has a bare & where &amp; must stand"
    if "xmlns" in content or "<Object" in content or "<Annotation" in content or "<OBJECT" in content:
        for element in root.iter():
            if isinstance(element.tag, str):
                element.tag = element.tag.rpartition("}")[2].lower()
    return root, note


def _parsed(content: str) -> Element:
    if "<!DOCTYPE" not in content and "<!ENTITY" not in content:  # without either there can be no entities
        return _parsed_plainly(content)
    try:
        root: Element = parse_defused(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
        return root
    except EntitiesForbidden:
        raise XmlProblem("declares entities, which are not read, for safety. Remove its DOCTYPE.") from None
    except (DefusedXmlException, ValueError) as error:
        raise XmlProblem(f"has a document type that is not read, for safety ({error}). Remove its DOCTYPE.") from None


def _parsed_plainly(content: str) -> Element:
    try:
        return parse_plain(content)
    except ValueError:  # half of a character
        raise XmlProblem("holds a character that is none. Save it as UTF-8, or restore it.") from None


def _malformed(error: ParseError, text: XmlText) -> XmlProblem:
    line = error.position[0] + text.line - 1
    cause = str(error).rpartition(": line")[0] or str(error)
    if cause.startswith("no element found") or cause.startswith("unclosed"):
        return XmlProblem(f"is cut off: not valid XML ({cause}). Restore or remove it.", line)
    if cause.startswith("junk after"):
        return XmlProblem(f"has more behind its end: not valid XML ({cause}). Keep one <annotation>.", line)
    return XmlProblem(f"is not valid XML ({cause}). Restore or remove it.", line)

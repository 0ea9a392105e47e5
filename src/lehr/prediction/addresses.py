"""Addresses of images, videos and streams: which of them are read, and how they are shown without their passwords."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from lehr.errors import InputError
from lehr.runtime.plain_text import one_line

HTTP = frozenset({"http", "https"})
STREAMS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tcp,tls",
    "srt": "srt",
    "udp": "udp",
    "tcp": "tcp",
}
"""Schemes of streams that FFmpeg opens, and the protocols that it may use for each."""
SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
SECRET = re.compile(r"((?:^|&)[^=&]*(?:pass|pwd|token|key|secret|sig|auth|cred)[^=&]*)=[^&]*", re.IGNORECASE)


def scheme_of(source: str) -> str:
    """The scheme of an address, in lower case; empty if it is none."""
    found = SCHEME.match(source)
    return "" if found is None else found[1].lower()


def split_address(address: str) -> SplitResult:
    """The parts of an address.

    Raises:
        InputError: it has no host, or a port that is none.
    """
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InputError(f"{shown(address)}: is not an address ({error}).") from None
    if not host and not (parts.scheme == "udp" and port):
        raise InputError(f"{shown(address)}: names no host. An address is e.g. {parts.scheme}://camera.local/live")
    return parts


def suffix_of_address(address: str) -> str:
    """The suffix of the file that an address names, in lower case, with its dot; empty if there is none."""
    try:
        return PurePosixPath(unquote(urlsplit(address).path)).suffix.lower()
    except ValueError:
        return ""


def shown(address: str) -> str:
    """An address for people, logs and results: without its password, and without the values of keys and tokens."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return one_line(address)
    authority, slash, tail = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at:
        name, colon, _ = user.partition(":")
        authority = f"{name}{':***' if colon else ''}@{host}"
    elif "@" in tail:  # a password with a slash in it
        authority, slash, tail = "...", "", ""
    path, question, query = tail.partition("?")
    query = SECRET.sub(r"\1=***", query)
    return one_line(f"{scheme}://{authority}{slash}{path}{question}{query}")

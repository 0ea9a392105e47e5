"""Files and streams over HTTP: as open files, so that nothing but what the user named is fetched.

Only http and https; at most a few redirects, to these only; answers of known length are read on from where a
connection broke. FFmpeg reads them from here and opens no connection of its own.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from lehr.errors import InputError
from lehr.prediction.addresses import HTTP, shown, split_address

CONNECT_SECONDS = 10.0
"""Longest wait for an answer, and for each part of it."""
MAX_REDIRECTS = 5
RETRIES, FIRST_PAUSE = 4, 0.25
"""Times that a file is read on after its connection broke, and the first pause before, seconds; each doubles."""
HEAD = 64
"""Bytes at the beginning that are kept to identify it."""
AGENT = "lehr"


class RemoteFault(InputError):
    """An address that cannot be read; the message names it and says why."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, never from https to http."""

    max_redirections = MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Make the request that a redirect leads to."""
        to, of = urlsplit(newurl).scheme.lower(), urlsplit(req.full_url).scheme.lower()
        if to not in HTTP or (of == "https" and to == "http"):
            raise urllib.error.URLError(f"it redirects to {to}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class RemoteFile:
    """The content of an address, as an open file: `read`, and `seek` where the server can begin in the middle.

    Args:
        address: http or https, with a name and password where it needs them.

    Attributes:
        name: where it was in the end, without a password; what a playlist's entries are relative to.
        size: bytes; None if the server does not say, as of a stream.
        kind: the type of its content as the server says, e.g. image/jpeg.

    Raises:
        RemoteFault: it cannot be reached, or does not exist.
        InputError: it is not an address.
    """

    def __init__(self, address: str) -> None:
        self._shown = shown(address)
        self._address, self._open = _opener(address)
        self._position = 0
        self._answer = self._request(0)
        self.name: str = self._answer.geturl()
        self.kind: str = self._answer.headers.get_content_type()
        length = self._answer.headers.get("Content-Length", "")
        compressed = self._answer.headers.get("Content-Encoding", "identity") != "identity"
        self.size = int(length) if length.isascii() and length.isdecimal() and not compressed else None
        self._mark = self._answer.headers.get("ETag") or self._answer.headers.get("Last-Modified")
        self._ranges = self._answer.headers.get("Accept-Ranges", "none").lower() == "bytes" and self.size is not None
        self._head = b""
        self._head = self._read(HEAD)

    @property
    def head(self) -> bytes:
        """Its first bytes, up to 64."""
        return self._head

    def read(self, count: int = -1) -> bytes:
        """Read bytes: those that are there, `count` at most; none at the end.

        Raises:
            RemoteFault: the connection broke, and reading on failed.
        """
        if self._position < len(self._head) and count != 0:
            part = self._head[self._position :] if count < 0 else self._head[self._position : self._position + count]
            self._position += len(part)
            return part
        part = self._read(count)
        self._position += len(part)
        return part

    def seekable(self) -> bool:
        """Return whether it can be read from the middle on."""
        return self._ranges

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position; a new connection is opened if it is not the current one.

        Raises:
            RemoteFault: it cannot be read from there.
            OSError: the server cannot begin in the middle.
        """
        if self.size is None or not self._ranges:
            raise OSError("is a stream, which has no positions")
        to = (0, self._position, self.size)[whence] + offset
        to = min(max(to, 0), self.size)
        if to != self._position:
            at = max(to, len(self._head)) if to < len(self._head) else to
            self._answer.close()
            if at < self.size:
                self._answer = self._request(at)
            self._position = to
        return to

    def tell(self) -> int:
        """The position, bytes from the beginning."""
        return self._position

    def close(self) -> None:
        """End the connection."""
        self._answer.close()

    def _read(self, count: int) -> bytes:
        """Read from the connection; of a file whose connection breaks, from a new one."""
        pause, error = FIRST_PAUSE, ""
        for attempt in range(RETRIES + 1):
            at = max(self._position, len(self._head))
            if self.size is not None and at >= self.size:
                return b""
            try:
                if attempt:
                    time.sleep(pause)
                    pause *= 2
                    self._answer.close()
                    self._answer = self._request(at)
                part = self._answer.read1(count) if count >= 0 else self._answer.read()
            except RemoteFault as fault:
                error = str(fault)
            except (OSError, http.client.HTTPException) as fault:
                error = str(fault) or type(fault).__name__
            else:
                if part or self.size is None:
                    return part
                error = "it ended before its length"
            if not self._ranges:
                break
        raise RemoteFault(f"{self._shown}: broke off after {self._position:,} bytes ({error}).")

    def _request(self, start: int) -> http.client.HTTPResponse:
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        request = urllib.request.Request(self._address, headers=headers)  # noqa: S310 (http and https only, by _opener)
        if start:
            request.add_header("Range", f"bytes={start}-")
            if self._mark:
                request.add_header("If-Range", self._mark)
        try:
            answer = self._open(request)
        except urllib.error.HTTPError as error:
            error.close()
            raise RemoteFault(f"{self._shown}: the server answers {error.code} {error.reason}.") from None
        except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise RemoteFault(f"{self._shown}: cannot be reached ({reason}).") from None
        if start and answer.status != http.client.PARTIAL_CONTENT:
            answer.close()
            raise RemoteFault(f"{self._shown}: has changed while it was read, or cannot be read in parts.")
        return answer


def open_playlist_part(playlist: str) -> Callable[[str, int, dict[str, str]], RemoteFile]:
    """Return a function that opens what a playlist names: files of its own host by http and https, nothing else.

    Args:
        playlist: its address, as `RemoteFile.name`.
    """
    own = urlsplit(playlist)

    def open_part(address: str, flags: int, options: dict[str, str]) -> RemoteFile:
        parts = urlsplit(address)
        if parts.scheme.lower() not in HTTP or (parts.hostname, parts.port) != (own.hostname, own.port):
            raise RemoteFault(f"{shown(playlist)}: names {shown(address)}, which is not of its own host.")
        return RemoteFile(address)

    return open_part


def _opener(address: str) -> tuple[str, Callable[[urllib.request.Request], http.client.HTTPResponse]]:
    """The address without its password, and a function that sends requests, with the password where it is asked for."""
    parts = split_address(address)
    if parts.scheme.lower() not in HTTP:
        raise RemoteFault(f"{shown(address)}: is not an address of http or https.")
    place = (parts.hostname or "") if ":" not in (parts.hostname or "") else f"[{parts.hostname}]"
    place += f":{parts.port}" if parts.port is not None else ""
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ]
    if parts.username is not None:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        root = f"{parts.scheme}://{place}/"
        passwords.add_password(None, root, unquote(parts.username), unquote(parts.password or ""))
        handlers += [urllib.request.HTTPBasicAuthHandler(passwords), urllib.request.HTTPDigestAuthHandler(passwords)]
    director = urllib.request.OpenerDirector()
    for handler in handlers:
        director.add_handler(handler)
    bare = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))

    def answer(request: urllib.request.Request) -> http.client.HTTPResponse:
        found: http.client.HTTPResponse = director.open(request, timeout=CONNECT_SECONDS)
        return found

    return bare, answer

"""A small HTTP server of this machine for files and streams, which counts requests, breaks off and moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(slots=True)
class Page:
    """What an address answers with.

    Attributes:
        body: its bytes.
        kind: of its content.
        status: of the answer.
        headers: further ones.
        ranges: whether it can be read from the middle on.
        breaks_after: bytes after which each answer breaks off; None for none.
        parts: of a stream without an end, sent in a loop instead of the body.
        seconds: between two parts.
        max_parts: after which the stream ends; None for never.
        password: name and password that are asked for.
    """

    body: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ranges: bool = False
    breaks_after: int | None = None
    parts: Sequence[bytes] = ()
    seconds: float = 0.01
    max_parts: int | None = None
    password: str = ""


class HttpServer:
    """Serves pages on a port of its own of this machine.

    Args:
        pages: by their paths, e.g. "/a.jpg".
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self._pages = pages
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.come_back()

    @property
    def address(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def come_back(self) -> None:
        """Take connections, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._cut = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def cut(self) -> None:
        """Break all streams and refuse new connections."""
        self._cut = True
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers.get("Range")))
                page = outer._pages.get(self.path, Page(status=404))
                if page.password and self.headers.get("Authorization") != f"Basic {page.password}":
                    page = Page(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
                if page.parts:
                    self._stream(page)
                else:
                    self._file(page)

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _file(self, page: Page) -> None:
                wanted = self.headers.get("Range") if page.ranges else None
                start = 0 if wanted is None else int(wanted.removeprefix("bytes=").removesuffix("-"))
                self.send_response(page.status if wanted is None else 206)
                self.send_header("Content-Type", page.kind)
                self.send_header("Content-Length", str(len(page.body) - start))
                if page.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                for name, value in page.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                end = len(page.body) if page.breaks_after is None else start + page.breaks_after
                self.wfile.write(page.body[start:end])

            def _stream(self, page: Page) -> None:
                self.send_response(200)
                self.send_header("Content-Type", page.kind)
                self.end_headers()
                sent = 0
                while not outer._cut and (page.max_parts is None or sent < page.max_parts):
                    try:
                        self.wfile.write(page.parts[sent % len(page.parts)])
                    except OSError:
                        return
                    sent += 1
                    time.sleep(page.seconds)

        return Handler


def multipart(images: Sequence[bytes]) -> list[bytes]:
    """The parts of a stream of JPEGs, as cameras send it (multipart/x-mixed-replace;boundary=frame)."""
    return [b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(i), i) for i in images]

"""Pages shown live on this machine: the page, whether there is news of it, and nothing else.

The server listens on 127.0.0.1, answers GET and HEAD of two addresses, and reads no name of a file from a request. A
request must name this machine in its Host header: a page of the web whose name was made to lead here (DNS rebinding)
reads nothing.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from lehr.errors import InputError, LehrError

ADDRESS = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")
"""Names of this machine that a request may give."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class State:
    """State of what is shown.

    Attributes:
        version: changes when there is news.
        text: a sentence for those who look.
    """

    version: str
    text: str


class PageServer(ThreadingHTTPServer):
    """A server of one page.

    Args:
        state: finds out the state, quickly.
        render: makes the page; called when the state's version has changed.
        port: to listen on; 0 for any that is free.

    Raises:
        InputError: the port is taken, or may not be used.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, state: Callable[[], State], render: Callable[[], str], port: int = 0) -> None:
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise InputError(f"--port {port}: cannot be listened on ({error.strerror}). Choose another.") from None
        self.state = state
        self._render = render
        self._lock = threading.Lock()
        self._shown: tuple[str, bytes] | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Report an error of an answer, but not that a browser has closed its connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def address(self) -> str:
        """Address to open in a browser."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def page(self) -> bytes:
        """Return the page in its newest state, made once for each.

        Raises:
            LehrError: it cannot be made.
        """
        with self._lock:
            version = self.state().version
            if self._shown is None or self._shown[0] != version:
                self._shown = version, self._render().encode()
            return self._shown[1]


class _Handler(BaseHTTPRequestHandler):
    """Answers of a `PageServer`."""

    server: PageServer
    server_version, sys_version = "lehr", ""
    timeout: ClassVar[float] = 10.0
    """Seconds after which a silent connection is closed."""

    def do_GET(self) -> None:
        """Answer with the page or its state."""
        if not self._is_ours():
            self._answer(HTTPStatus.FORBIDDEN, b"This server answers to 127.0.0.1 and localhost alone.\n")
        elif self.path == "/":
            try:
                self._answer(HTTPStatus.OK, self.server.page(), "text/html")
            except LehrError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
        elif self.path == "/state.json":
            state = self.server.state()
            content = json.dumps({"version": state.version, "text": state.text}).encode()
            self._answer(HTTPStatus.OK, content, "application/json")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"There is the page alone: /\n")

    do_HEAD = do_GET

    def _is_ours(self) -> bool:
        """Return whether a request names this machine, and this port, once."""
        hosts = self.headers.get_all("Host", [])
        return len(hosts) == 1 and hosts[0] in {f"{name}:{self.server.server_port}" for name in NAMES}

    def _answer(self, status: HTTPStatus, content: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of requests."""

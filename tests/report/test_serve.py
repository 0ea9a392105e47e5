"""The page served on this machine: itself and its state, to those who name this machine, and nothing else."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.chromium import opened
from tests.report.test_run_page import a_run

from lehr.errors import InputError
from lehr.report.live_run import run_server
from lehr.report.serve import PageServer, State


@contextmanager
def serving(server: PageServer) -> Iterator[PageServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    a_run(tmp_path / "run")
    with serving(run_server(tmp_path / "run")) as started:
        yield started


def ask(server: PageServer, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_page_and_its_state_are_served_and_kept_by_nobody(server: PageServer) -> None:
    status, headers, page = ask(server)
    assert status == 200 and b"<h1>run</h1>" in page and b"connect-src &#39;self&#39;" in page
    assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
    status, _, state = ask(server, "/state.json")
    assert status == 200 and set(json.loads(state)) == {"version", "text"}
    assert ask(server, method="HEAD")[2] == b""


@pytest.mark.parametrize(
    "path",
    [
        "/config.yaml",
        "/../config.yaml",
        "/..%2fconfig.yaml",
        "/report.html",
        "/?x",
        "//etc",
        "/state.json/",
        "/etc/passwd",
    ],
)
def test_nothing_else_is_served(server: PageServer, path: str) -> None:
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(server: PageServer, method: str) -> None:
    assert ask(server, method=method)[0] == 501


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{}", "0.0.0.0:{}", "localhost:1"]
)
def test_a_request_that_names_another_machine_is_refused(server: PageServer, host: str) -> None:
    status, _, content = ask(server, Host=host.format(server.server_port))
    assert status == 403 and b"run" not in content
    assert ask(server, Host=f"localhost:{server.server_port}")[0] == 200


def test_a_request_that_names_no_machine_or_two_is_refused(server: PageServer) -> None:
    for hosts in (b"", b"Host: localhost:%d\r\nHost: evil.example\r\n" % server.server_port):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n" + hosts + b"\r\n")
            assert b" 403 " in connection.recv(100)


def test_other_machines_do_not_reach_it(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_page_is_made_once_for_each_state_and_its_failure_ends_nothing() -> None:
    state, made = ["1"], []

    def render() -> str:
        made.append(state[0])
        if state[0] == "2":
            raise InputError("gone <b>")
        return f"page {state[0]}"

    with serving(PageServer(lambda: State(state[0], ""), render)) as server:
        assert [ask(server)[2] for _ in range(2)] == [b"page 1"] * 2 and made == ["1"]
        state[0] = "2"
        status, headers, content = ask(server)
        assert (status, content) == (503, b"gone <b>\n") and headers["Content-Type"].startswith("text/plain")
        state[0] = "3"
        assert ask(server)[2] == b"page 3"


def test_a_port_that_is_taken_is_named() -> None:
    with (
        serving(PageServer(lambda: State("", ""), str)) as server,
        pytest.raises(InputError, match=f"--port {server.server_port}"),
    ):
        PageServer(lambda: State("", ""), str, server.server_port)


def test_the_page_loads_again_when_an_epoch_is_done(tmp_path: Path, browser: Any) -> None:
    folder = a_run(tmp_path / "run", lines=1)
    with serving(run_server(folder)) as server, opened(browser, server.address) as found:
        assert "1 of 5 epochs are done." in found.page.inner_text(".answers")
        text = (folder / "results.csv").read_text()
        (folder / "results.csv").write_text(text + text.splitlines()[1].replace("1,10", "2,20", 1) + "\n")
        found.page.get_by_text("2 of 5 epochs are done.").wait_for()
        found.page.uncheck("#follow")
        assert all(request.startswith(server.address) for request in found.requests)

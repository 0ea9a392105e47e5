"""A stand-in of the Hub's HTTP API on 127.0.0.1: repositories in memory, one commit after another."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_stand_in"


@dataclass
class StandIn:
    """What the Hub holds and was asked.

    Attributes:
        files: content by repository and path.
        private: whether a repository is private.
        stored: large files by their SHA-256, before a commit names them.
        asked: method and path of each request.
        tokens: the tokens that requests came with.
        claimed: size that is stated for a path instead of its own.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    claimed: dict[str, int] = field(default_factory=dict)

    def commit_of(self, repository: str) -> str:
        """The commit of a repository's files."""
        content = json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in self.files[repository].items()})
        return hashlib.sha1(content.encode()).hexdigest()  # noqa: S324 (as git names commits)


@contextmanager
def hub_stand_in() -> Iterator[StandIn]:
    """Serves a stand-in as long as the block lasts."""
    hub = StandIn()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._resolve()

    def do_GET(self) -> None:
        self._resolve()

    def do_PUT(self) -> None:
        self.state.asked.append(f"PUT {self.path}")
        self.state.stored[self.path.rsplit("/", 1)[-1]] = self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        hub, path = self.state, self.path.partition("?")[0]
        hub.asked.append(f"POST {path}")
        hub.tokens.add(self.headers.get("Authorization", ""))
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
            if name in hub.files:
                self._answer(409, {"error": "You already created this model repo", "url": f"{hub.url}/{name}"})
                return
            hub.files[name], hub.private[name] = {}, given.get("visibility") == "private" or bool(given.get("private"))
            self._answer(200, {"url": f"{hub.url}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = [{"path": each["path"]} for each in json.loads(body)["files"]]
            modes = [{**each, "uploadMode": _mode(each["path"]), "shouldIgnore": False} for each in files]
            self._answer(200, {"files": modes})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{hub.url}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif "/commit/" in path:
            repository = "/".join(path.split("/")[3:5])
            for line in body.splitlines():
                self._take(repository, json.loads(line))
            commit = hub.commit_of(repository)
            url = f"{hub.url}/{repository}/commit/{commit}"
            self._answer(200, {"success": True, "commitUrl": url, "commitOid": commit, "hookOutput": ""})
        else:
            self._answer(404, {"error": "Not found"})

    def _take(self, repository: str, line: dict[str, Any]) -> None:
        value = line["value"]
        if line["key"] == "file":
            self.state.files[repository][value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            self.state.files[repository][value["path"]] = self.state.stored[value["oid"]]

    def _resolve(self) -> None:
        hub, (path, _, _) = self.state, self.path.partition("?")
        hub.asked.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        repository, name = "/".join(parts[:2]), "/".join(parts[4:])
        if repository not in hub.files or parts[2:3] != ["resolve"]:
            self._refuse(401 if repository not in hub.files else 404, "RepoNotFound")
        elif hub.private[repository] and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "RepoNotFound")
        elif parts[3] not in ("main", hub.commit_of(repository)):
            self._refuse(404, "RevisionNotFound")
        elif name not in hub.files[repository]:
            self._refuse(404, "EntryNotFound")
        else:
            data = hub.files[repository][name]
            headers = {"X-Repo-Commit": hub.commit_of(repository), "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
            if name in hub.claimed:
                headers["X-Linked-Size"] = str(hub.claimed[name])
            self._send(200, data, headers)

    def _refuse(self, code: int, kind: str) -> None:
        self._send(code, b"{}", {"X-Error-Code": kind, "X-Error-Message": kind})

    def _answer(self, code: int, content: Any) -> None:
        self._send(code, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


def _mode(path: str) -> str:
    return "lfs" if path.endswith(".safetensors") else "regular"

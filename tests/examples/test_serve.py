"""The service of `examples/serve`: batches, limits, time-outs, and answers that do not depend on who else asks."""

from __future__ import annotations

import http.client
import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lehr.detections import Detections
from lehr.detector import Detector
from lehr.models.build import build_model
from lehr.weights.write import save_weights

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
EXAMPLE = Path(__file__).parents[2] / "examples" / "serve"
NAMES = ("cat", "dog")


def png(width: int = 40, height: int = 30, seed: int = 0) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Slow:
    """Stands for a detector that takes its time, and finds nothing."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def predict(self, source: Sequence[bytes], **_: Any) -> list[Detections]:
        self.batches.append(len(source))
        time.sleep(self.seconds)
        assert self.go.wait(20)
        if b"crash" in source:
            raise RuntimeError("/a/path/of/the/server")
        return [Detections.missing("image", NAMES, "is none") for _ in source]


@pytest.fixture(scope="module")
def app(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The example's application, imported as its own script imports it."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        import app as module

        yield module
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in ("app", "batching"):
            sys.modules.pop(name, None)


@contextmanager
def served(application: Any) -> Iterator[int]:
    """Serve an application on a free port, which is given, as long as the block lasts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


def ask(port: int, body: bytes | None = None, path: str = "/predict", method: str = "POST") -> tuple[int, Any]:
    """Status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else text
    finally:
        connection.close()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_many_at_once_are_batched_and_each_gets_its_own_answer(app: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_weights(build_model("yolov8n", NAMES, 64, width=0.125), tmp_path / "w.safetensors")
    detector = Detector.load(tmp_path / "w.safetensors", device="cpu")
    images = [png(40 + 8 * i, 30, i) for i in range(10)] + [b"no image"]
    expected = [detector.predict(image, conf=0.001, square=True)[0] for image in images[:-1]]
    settings = app.Settings(batch=4, wait=0.2, conf=0.001)
    with served(app.make_app(detector, settings)) as port, ThreadPoolExecutor(len(images)) as pool:
        *answers, broken = pool.map(lambda image: ask(port, image), images)
        status, health = ask(port, path="/health", method="GET")
    assert broken == (422, {"error": "The body is not an image that can be read."})
    for (code, found), own in zip(answers, expected, strict=True):
        assert code == 200 and len(own) and (found["width"], found["height"]) == (own.width, own.height)
        assert "source" not in found
        scores = [each["score"] for each in found["detections"]]
        np.testing.assert_allclose(scores, own.scores, atol=2e-5)
        np.testing.assert_allclose([each["xyxy"] for each in found["detections"]], own.boxes, atol=0.02)
    assert status == 200 and health["status"] == "ok" and health["images"] == 11 and health["batches"] <= 6


def test_uploads_are_bounded_whether_they_say_their_size_or_not(app: ModuleType) -> None:
    slow = Slow()
    with served(app.make_app(slow, app.Settings(max_bytes=1000, timeout=5))) as port:
        assert ask(port, b"x" * 1001)[0] == 413 and ask(port, b"x" * 1000)[0] == 422 and ask(port, b"")[0] == 400
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/predict", iter([b"x" * 600] * 3), encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert ask(port, method="GET")[0] == 405 and ask(port, path="/", method="GET")[0] == 404
    assert sum(slow.batches) == 1


def test_what_does_not_arrive_or_is_not_answered_in_time_is_given_up(app: ModuleType) -> None:
    slow = Slow()
    with served(app.make_app(slow, app.Settings(timeout=0.2, batch=1))) as port:
        with socket.create_connection(("127.0.0.1", port), 20) as late:
            late.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow")
            assert late.recv(100).startswith(b"HTTP/1.1 408")
        slow.go.clear()
        assert [ask(port, b"a")[0], ask(port, b"b")[0]] == [504, 504]
        slow.go.set()
        wait_for(lambda: ask(port, path="/health", method="GET")[1]["waiting"] == 0)
        assert ask(port, b"c")[0] == 422
    assert sum(slow.batches) == 2, "nobody waits for b any more, so it is not computed"


def test_a_full_queue_refuses_and_comes_back(app: ModuleType) -> None:
    slow = Slow()
    slow.go.clear()
    settings = app.Settings(batch=1, room=2, wait=0.0, timeout=15)
    with served(app.make_app(slow, settings)) as port, ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, port, b"1")
        wait_for(lambda: slow.batches)
        others = [pool.submit(ask, port, b"2"), pool.submit(ask, port, b"3")]
        wait_for(lambda: ask(port, path="/health", method="GET")[1]["waiting"] == 2)
        assert ask(port, b"4")[0] == 503
        with socket.create_connection(("127.0.0.1", port), 20) as more:  # refused before its body is read
            more.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            assert b"503" in more.recv(100)
        slow.go.set()
        assert [each.result(20)[0] for each in (first, *others)] == [422] * 3 and ask(port, b"5")[0] == 422


def test_a_batch_that_fails_says_nothing_of_the_server_and_ends_nothing(app: ModuleType) -> None:
    with served(app.make_app(Slow(), app.Settings())) as port:
        assert ask(port, b"crash") == (500, {"error": "The image could not be computed."})
        assert ask(port, b"other")[0] == 422 and ask(port, path="/health", method="GET")[0] == 200


def test_its_defaults_are_this_machine_alone_and_bounded(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["serve.py", "--weights", "none.safetensors"])
    monkeypatch.setenv("LEHR_MAX_PIXELS", "1000")
    started: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda application, **given: started.update(given))
    import serve

    try:
        with pytest.raises(SystemExit, match=r"none.safetensors"):
            serve.main()
        monkeypatch.setattr(Detector, "load", lambda *_, **__: Slow())
        serve.main()
    finally:
        sys.modules.pop("serve", None)
    assert started["host"] == "127.0.0.1" and started["limit_concurrency"] == 256 and started["timeout_keep_alive"] == 5

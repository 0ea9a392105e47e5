"""The HTTP application: one route that predicts, one that says how the service is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batching import Batcher, Full
from lehr.detections import Detections

MIB = 2**20
FULL, RETRY = "Too many images wait. Try again later.", {"Retry-After": "1"}


class Finder(Protocol):
    """What the service needs of a `lehr.Detector`."""

    def predict(
        self,
        source: Sequence[bytes],
        *,
        imgsz: int | None,
        batch: int,
        conf: float,
        square: bool,
        skip_broken: bool,
    ) -> list[Detections]:
        """Find the objects of each image."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the service.

    Attributes:
        batch: most images that are computed together.
        wait: seconds that a batch waits for further images.
        room: images that may wait; one more is refused with 503.
        max_bytes: of an upload; a larger one is refused with 413.
        timeout: seconds for an upload to arrive (408), and then for its answer (504).
        conf: lowest score.
        imgsz: longest side that the model sees, pixels; None for that of the training.
    """

    batch: int = 8
    wait: float = 0.005
    room: int = 64
    max_bytes: int = 20 * MIB
    timeout: float = 10.0
    conf: float = 0.25
    imgsz: int | None = None


class TooLarge(Exception):
    """An upload that is larger than one may be."""


def make_app(finder: Finder, settings: Settings) -> Starlette:
    """The application.

    Args:
        finder: the detector.
        settings: of the service.
    """

    def compute(images: Sequence[bytes]) -> list[Detections]:
        return finder.predict(
            images,
            imgsz=settings.imgsz,
            batch=len(images),
            conf=settings.conf,
            square=True,  # one shape for all, so that an answer does not depend on the batch's other images
            skip_broken=True,
        )

    batcher = Batcher(compute, size=settings.batch, wait=settings.wait, room=settings.room)
    places = asyncio.Semaphore(settings.room + settings.batch)  # for uploads, those that are still arriving too

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.stop()

    async def predict(request: Request) -> Response:
        if places.locked():
            return _error(503, FULL, RETRY, close=True)
        async with places:
            return await answer(request)

    async def answer(request: Request) -> Response:
        try:
            async with asyncio.timeout(settings.timeout):
                image = await _body(request, settings.max_bytes)
        except TooLarge:
            return _error(413, f"The image is larger than {settings.max_bytes} bytes.", close=True)
        except TimeoutError:
            return _error(408, f"The image did not arrive within {settings.timeout:g} s.", close=True)
        except ClientDisconnect:
            return Response(status_code=400)
        if not image:
            return _error(400, "The body is empty: send the content of an image file.")
        try:
            found = await asyncio.wait_for(batcher.find(image), settings.timeout)
        except Full:
            return _error(503, FULL, RETRY)
        except TimeoutError:
            return _error(504, f"There was no answer within {settings.timeout:g} s.")
        except Exception:  # written to the log; what it says is nothing for clients
            return _error(500, "The image could not be computed.")
        if found.fault is not None:
            return _error(422, "The body is not an image that can be read.")
        return JSONResponse({name: value for name, value in found.as_dict().items() if name != "source"})

    async def health(request: Request) -> Response:
        state = {"waiting": batcher.waiting, "room": settings.room, "images": batcher.images}
        alive = batcher.alive
        content = {"status": "ok" if alive else "failed", **state, "batches": batcher.batches}
        return JSONResponse(content, 200 if alive else 503)

    routes = [Route("/predict", predict, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        TooLarge: it has more than `limit` bytes, or says so.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated[:20]) > limit:
        raise TooLarge
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > limit:
            raise TooLarge
    return bytes(parts)


def _error(code: int, message: str, headers: dict[str, str] | None = None, *, close: bool = False) -> Response:
    """An answer that says what is wrong; `close` ends the connection, whose upload may still be coming."""
    return JSONResponse({"error": message}, code, {**(headers or {}), **({"Connection": "close"} if close else {})})

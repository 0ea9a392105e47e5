"""Cameras and streams: opened again with growing pauses when they break, their frames numbered and timed on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.errors import InputError
from lehr.prediction.addresses import STREAMS, scheme_of, shown, split_address
from lehr.prediction.frames import Frame
from lehr.prediction.video import CONTAINERS, Position, decode, open_container
from lehr.runtime.console import LOGGER

if TYPE_CHECKING:
    from av.container import InputContainer

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a stream is opened again: at first, doubled each time, and at most."""
MAX_SILENCE_SECONDS = 600.0
"""Seconds without a frame after which a stream is given up."""
OPEN_SECONDS, READ_SECONDS = 10.0, 10.0
"""Longest wait for a stream to open, and for each part of it."""
DEVICES = {"linux": "video4linux2,v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""Input devices of FFmpeg, by system."""
Open = Callable[[], "InputContainer"]


def read_live(
    name: str, reopen: Open, first: InputContainer | None = None
) -> Callable[[threading.Event], Iterator[Frame]]:
    """Return what reads a camera or a stream until it is to end, opening it again whenever it breaks.

    Args:
        name: of the source, for people.
        reopen: opens it; raises InputError where it cannot.
        first: it, open already; None to open it.

    Returns:
        A function that gives frames until its argument is set; it raises InputError when the source is given up.
    """

    def read(stop: threading.Event) -> Iterator[Frame]:
        position, container = Position(), first
        pause, last, broke_at = FIRST_PAUSE, time.monotonic(), 0.0
        while not stop.is_set():
            fault = "ended"
            try:
                if container is None:
                    container = reopen()
                with closing(container):
                    for frame in decode(container, name, position, live=True):
                        if broke_at:
                            LOGGER.warning("%s: is back after %.0f s.", name, time.monotonic() - broke_at)
                            broke_at = 0.0
                        yield frame
                        pause, last = FIRST_PAUSE, time.monotonic()
                        if stop.is_set():
                            return
            except InputError as error:
                fault = str(error).removeprefix(f"{name}: ").rstrip(".")
            container = None
            if time.monotonic() - last > MAX_SILENCE_SECONDS:
                raise InputError(f"{name}: gave no frame for {MAX_SILENCE_SECONDS:.0f} s ({fault}).")
            if not broke_at:
                broke_at = time.monotonic()
                LOGGER.warning("%s: %s; opening it again.", name, fault)
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    return read


def open_stream(address: str) -> InputContainer:
    """Open a stream by its address: rtsp, rtmp, srt, udp or tcp; FFmpeg may use the protocols of its scheme only.

    Raises:
        InputError: it cannot be opened.
    """
    scheme = scheme_of(address)
    split_address(address)
    options = {"protocol_whitelist": STREAMS[scheme], "format_whitelist": f"rtsp,rtp,sdp,{CONTAINERS}"}
    if scheme.startswith("rtsp"):
        options["rtsp_flags"] = "prefer_tcp"
    return open_container(address, shown(address), options=options, seconds=(OPEN_SECONDS, READ_SECONDS))


def open_camera(number: int) -> InputContainer:
    """Open a camera of this machine.

    Args:
        number: from 0, as the system counts them.

    Raises:
        InputError: there is no such camera, or it is in use.
    """
    device = DEVICES.get(sys.platform)
    if device is None or sys.platform == "win32":
        raise InputError(
            f"{number}: cameras are not opened by their number on this system. Send its frames to Detector.stream."
        )
    place = f"/dev/video{number}" if sys.platform == "linux" else str(number)
    if sys.platform == "linux" and not Path(place).exists():
        there = sorted(int(path.name.removeprefix("video")) for path in Path("/dev").glob("video[0-9]*"))
        have = f"there are {', '.join(map(str, there))}" if there else "this machine has none"
        raise InputError(f"camera {number}: there is no {place}; {have}.")
    options = {"protocol_whitelist": "file", "format_whitelist": device}
    return open_container(
        place, f"camera {number}", container_format=device.rpartition(",")[2], options=options,
        seconds=(OPEN_SECONDS, READ_SECONDS),
    )  # fmt: skip

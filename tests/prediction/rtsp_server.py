"""A small RTSP server for one H.264 stream over TCP (RFC 2326, RFC 6184), which can be cut and come back."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

START_CODE = re.compile(rb"\x00\x00\x00?\x01")
PAYLOAD, CLOCK, RATE = 96, 90_000, 25
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
)
LARGEST = 1400
"""Bytes of a NAL unit in one packet; larger ones are cut into fragments (FU-A)."""


class RtspServer:
    """Serves frames in a loop to whoever plays, on a port of its own of this machine.

    Args:
        frames: encoded H.264, a key frame first, NAL units with start codes.
        seconds: between two frames.
        max_frames: frames of a connection, after which it breaks; None for no end.
    """

    def __init__(self, frames: Sequence[bytes], seconds: float = 0.01, max_frames: int | None = None) -> None:
        self._frames, self._seconds, self.max_frames = frames, seconds, max_frames
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.address = f"rtsp://127.0.0.1:{self.port}/live"
        self.connections = 0
        self._clients: list[socket.socket] = []
        self._closed = False

    def __enter__(self) -> Self:
        self._accept_in_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self.cut()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        for each in (self._listener, *self._clients):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._clients = []

    def come_back(self) -> None:
        """Take connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept_in_thread()

    def _accept_in_thread(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while (request := _read_request(client)) is not None:
                method, headers = request
                answer = {"CSeq": headers.get("cseq", "0"), "Session": "1"}
                body = ""
                if method == "OPTIONS":
                    answer["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
                elif method == "DESCRIBE":
                    body = SDP
                    answer |= {"Content-Type": "application/sdp", "Content-Base": self.address + "/"}
                elif method == "SETUP":
                    answer["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
                text = "".join(f"{name}: {value}\r\n" for name, value in answer.items())
                text += f"Content-Length: {len(body)}\r\n" if body else ""
                client.sendall(f"RTSP/1.0 200 OK\r\n{text}\r\n{body}".encode())
                if method == "PLAY":
                    self.connections += 1
                    self._play(client)
                    return

    def _play(self, client: socket.socket) -> None:
        sequence = 0
        place = 0
        while self.max_frames is None or place < self.max_frames:
            units = [unit for unit in START_CODE.split(self._frames[place % len(self._frames)]) if unit]
            packets = [packet for unit in units for packet in _packets(unit)]
            for number, packet in enumerate(packets):
                last = number == len(packets) - 1
                header = struct.pack(">BBHII", 0x80, PAYLOAD | (0x80 if last else 0), sequence & 0xFFFF,
                                     place * CLOCK // RATE, 1)  # fmt: skip
                client.sendall(struct.pack(">cBH", b"$", 0, len(header) + len(packet)) + header + packet)
                sequence += 1
            place += 1
            time.sleep(self._seconds)


def _packets(unit: bytes) -> list[bytes]:
    """A NAL unit as payloads of packets: whole, or in fragments."""
    if len(unit) <= LARGEST:
        return [unit]
    indicator, kind = (unit[0] & 0xE0) | 28, unit[0] & 0x1F
    parts = [unit[at : at + LARGEST] for at in range(1, len(unit), LARGEST)]
    flags = [(0x80 if at == 0 else 0) | (0x40 if at == len(parts) - 1 else 0) for at in range(len(parts))]
    return [bytes([indicator, flag | kind]) + part for flag, part in zip(flags, parts, strict=True)]


def _read_request(client: socket.socket) -> tuple[str, dict[str, str]] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(4096)
        if not part:
            return None
        data += part
    lines = data.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return lines[0].split(" ")[0], headers

"""The ring of decoded images: each is decoded once while it is there, and does not change while it is used."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import numpy as np
import pytest
from numpy.typing import NDArray

from lehr.data import decoded_ring
from lehr.data.decoded_ring import DecodedRing

SHAPE = (4, 6, 3)
BYTES = 4 * 6 * 3
pytestmark = pytest.mark.skipif(not decoded_ring.HAS_LOCKS, reason="Windows has no locks of a file's bytes")


class Decoder:
    """Gives the rings' images, each full of its number, and counts."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def of(self, index: int) -> Callable[[NDArray[np.uint8]], None]:
        def decode(out: NDArray[np.uint8]) -> None:
            self.decoded.append(index)
            out[:] = index

        return decode

    def ask(self, ring: DecodedRing, index: int) -> NDArray[np.uint8]:
        image = ring(index, SHAPE, self.of(index))
        assert (image == index).all() and image.shape == SHAPE
        return image


def in_child(work: Callable[[], object]) -> object:
    """What some work answers in a forked process."""
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(work()))
    process.start()
    answer = ours.recv() if ours.poll(20) else None
    process.join()
    return answer


def test_an_image_is_decoded_once_while_it_is_there() -> None:
    ring, decoder = DecodedRing(10, 4, BYTES), Decoder()
    for _ in range(3):
        for index in (1, 2, 3):
            decoder.ask(ring, index)
            ring.release()
    assert decoder.decoded == [1, 2, 3]


def test_the_oldest_makes_room() -> None:
    ring, decoder = DecodedRing(10, 4, BYTES), Decoder()
    for index in (0, 1, 2, 3, 4, 1, 2, 3, 4, 0):
        decoder.ask(ring, index)
        ring.release()
    assert decoder.decoded == [0, 1, 2, 3, 4, 0]


def test_what_a_batch_is_made_from_stays_as_it_is() -> None:
    """Also of more images than the ring has slots."""
    ring, decoder = DecodedRing(10, 4, BYTES), Decoder()
    images = [decoder.ask(ring, index) for index in range(10)]
    assert all((image == index).all() for index, image in enumerate(images))
    again = [decoder.ask(ring, index) for index in range(4)]
    assert all(np.shares_memory(image, other) for image, other in zip(images, again, strict=False))


def test_another_process_finds_what_was_decoded_here_and_leaves_what_is_in_use() -> None:
    ring, decoder = DecodedRing(10, 4, BYTES), Decoder()
    held = [decoder.ask(ring, index) for index in (0, 1)]

    def work() -> object:
        other = Decoder()
        for index in (0, 1, 2, 3, 4, 5, 6):
            other.ask(ring, index)
            ring.release()
        return other.decoded

    assert in_child(work) == [2, 3, 4, 5, 6]
    assert all((image == index).all() for index, image in enumerate(held))
    ring.release()
    decoder.ask(ring, 6)
    assert decoder.decoded == [0, 1]


def test_what_cannot_be_decoded_leaves_its_slot_to_others() -> None:
    ring, decoder = DecodedRing(10, 1, BYTES), Decoder()

    def fail(out: NDArray[np.uint8]) -> None:
        out[:] = 9
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        ring(3, SHAPE, fail)
    decoder.ask(ring, 3)
    decoder.ask(ring, 3)
    assert decoder.decoded == [3]


def test_a_process_that_is_killed_leaves_no_lock() -> None:
    ring, decoder = DecodedRing(10, 1, BYTES), Decoder()
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hang, args=(ring, theirs))
    process.start()
    assert ours.poll(20)
    decoder.ask(ring, 5)  # its only slot is being written to
    decoder.ask(ring, 5)
    assert decoder.decoded == [5, 5]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    decoder.ask(ring, 7)
    decoder.ask(ring, 7)
    assert decoder.decoded == [5, 5, 7]


def _hang(ring: DecodedRing, channel: Connection) -> None:
    def half(out: NDArray[np.uint8]) -> None:
        out[:] = 77
        channel.send(True)
        threading.Event().wait(60)

    ring(7, SHAPE, half)


def test_many_processes_never_see_anything_but_their_images() -> None:
    ring = DecodedRing(12, 5, BYTES)

    def work() -> object:
        rng, decoder, until = np.random.default_rng(os.getpid()), Decoder(), time.monotonic() + 0.5
        while time.monotonic() < until:
            images = [(index, decoder.ask(ring, index)) for index in rng.integers(12, size=3).tolist()]
            if not all((image == index).all() for index, image in images):
                return False
            ring.release()
        return True

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(in_child(work))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4

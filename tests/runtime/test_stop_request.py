"""The first signal is remembered, a second Ctrl-C ends at once, and handlers are put back."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from lehr.runtime.stop_request import StopRequest


@pytest.fixture(autouse=True)
def _handlers_stay() -> Iterator[None]:
    """Has every signal handled, under nohup too, and checks that the handlers are there again afterwards."""

    def handler(number: int, frame: object) -> None:
        raise AssertionError(f"signal {number} came to the handler of before")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.signal(number, handler) for number in numbers}
    yield
    after = [signal.signal(number, old) for number, old in before.items()]
    assert after == [handler] * len(numbers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_the_first_signal_is_remembered(number: int) -> None:
    with StopRequest() as stop:
        assert stop.signal_number is None
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
    assert stop.signal_number == number


def test_a_second_ctrl_c_ends_at_once_and_a_second_other_signal_does_not() -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
    assert stop.signal_number is None

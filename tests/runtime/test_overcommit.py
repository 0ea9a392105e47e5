"""Where the system counts addresses as memory, no heap is taken ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr.runtime import malloc


class Library:
    """A C library whose malloc has nothing to give, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked = 0

        def take(size: int) -> int:
            self.asked += 1
            return 0

        self.malloc, self.free, self.madvise = take, lambda block: None, lambda *arguments: 0


@pytest.mark.parametrize(("policy", "asked"), [("0", 1), ("1", 1), ("2", 0)])
def test_the_heap_is_taken_ahead_only_where_addresses_are_free(
    policy: str, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"{policy}\n")
    library = Library()
    malloc._large_pages(library)  # type: ignore[arg-type]
    assert library.asked == asked


def test_a_system_that_does_not_say_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", fail)
    library = Library()
    malloc._large_pages(library)  # type: ignore[arg-type]
    assert library.asked == 0

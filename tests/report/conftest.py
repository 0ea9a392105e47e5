"""A browser that the tests of pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.chromium import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Chromium, started by the first test that looks at a page."""
    with chromium() as started:
        yield started

"""Fixtures of the engine's tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def _nothing_decoded_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each image read whenever it is needed, so that runs see at once that its file is gone."""
    monkeypatch.setattr("lehr.data.cache.RING_SHARE", 0.0)

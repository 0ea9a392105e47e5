"""Fixtures of the engine's tests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Once
from tests.engine.runs import run

Undisturbed = Callable[..., Path]
"""Returns the folder of a run that is left alone, of a data set in YAML and with options of the run."""


@pytest.fixture(scope="session")
def undisturbed(once: Once) -> Undisturbed:
    """Makes a run once for all tests that have the same images and options; nobody may change it."""

    def folder_of(data: Path, **options: Any) -> Path:
        files = sorted(path for path in data.parent.rglob("*") if path.is_file())
        found = [(str(path.relative_to(data.parent)), path.read_bytes()) for path in files]
        digest = hashlib.sha256(repr((found, sorted(options.items()))).encode()).hexdigest()[:16]

        def make(folder: Path) -> None:
            copy = shutil.copytree(data.parent, folder / "data")
            run(copy / data.name, folder, "run", **options)

        return once(f"undisturbed-{digest}", make) / "run"

    return folder_of


@pytest.fixture
def _nothing_decoded_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each image read whenever it is needed, so that runs see at once that its file is gone."""
    monkeypatch.setattr("lehr.data.cache.RING_SHARE", 0.0)

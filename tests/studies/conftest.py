"""What makes the tests of studies quicker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="package", autouse=True)
def _optuna_reads_its_scripts_once() -> Iterator[None]:
    """Have Optuna read the scripts of its tables' versions once, not with each database that it opens."""
    patch = pytest.MonkeyPatch()
    with contextlib.suppress(ImportError):
        from optuna.storages._rdb.storage import _VersionManager as Versions

        read, scripts = Versions._create_alembic_script, list[Any]()

        def once(versions: Any) -> Any:
            scripts.extend([] if scripts else [read(versions)])
            return scripts[0]

        patch.setattr(Versions, "_create_alembic_script", once)
    yield
    patch.undo()

"""The cache folder: the one that is given, else the system's; nothing else in Lehr decides where it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import lehr
from lehr.runtime.cache_folder import cache_folder


def test_the_folder_that_is_given_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LEHR_CACHE", "~/kept")
    assert cache_folder() == tmp_path / "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own folder")
def test_without_one_it_is_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEHR_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lehr"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "lehr"


def test_nothing_else_decides_where_it_is() -> None:
    package = Path(lehr.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        decides = any(each in text for each in ("platformdirs", "XDG_CACHE_HOME", '"LEHR_CACHE"', "'LEHR_CACHE'"))
        assert decides == (path == package / "runtime" / "cache_folder.py"), path

"""The cache folder: the one that is given, else the system's; nothing else in Lehr decides where it is."""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import lehr
from lehr.errors import InputError
from lehr.runtime.cache_folder import _temporary_folder, cache_folder, cached


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


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Temporary files of the test, and no folder for caches that is given."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("LEHR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    _temporary_folder.cache_clear()
    yield tmp_path / "tmp"
    _temporary_folder.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own folder")
def test_without_a_home_folder_it_is_among_the_temporary_files_and_said(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME", raising=False)
    caplog.set_level("INFO", "lehr")
    folder = cache_folder()
    assert folder.parent == temporary and folder.stat().st_mode & 0o777 == 0o700
    assert cache_folder() == folder and len(caplog.records) == 1
    assert "there is no home folder" in caplog.text and "LEHR_CACHE" in caplog.text
    monkeypatch.setenv("LEHR_CACHE", "~/kept")
    with pytest.raises(InputError, match="no home folder"):
        cache_folder()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own folder")
def test_where_the_systems_cannot_be_written_what_is_in_it_is_used_all_the_same(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "xdg" / "lehr" / "shapes-1").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: "xdg" not in str(path))
    caplog.set_level("INFO", "lehr")
    assert cached("shapes-1") == tmp_path / "xdg" / "lehr" / "shapes-1"
    assert cached("images").parent.parent == temporary and cache_folder().parent == temporary
    assert "cannot be written" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users by number")
def test_a_folder_of_another_user_is_not_taken(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / f"lehr-cache-{os.getuid()}").symlink_to(temporary / "elsewhere")
    folder = _temporary_folder("there is no home folder")
    assert folder.name != f"lehr-cache-{os.getuid()}" and not folder.is_symlink()


def test_nothing_else_decides_where_it_is() -> None:
    package = Path(lehr.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        decides = any(each in text for each in ("platformdirs", "XDG_CACHE_HOME", '"LEHR_CACHE"', "'LEHR_CACHE'"))
        assert decides == (path == package / "runtime" / "cache_folder.py"), path

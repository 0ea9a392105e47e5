"""A disk is measured with a file that never stays, in the nearest folder that exists."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lehr.doctor.disk import CHUNK_BYTES, examine_disk, examine_disks, nearest_existing


def test_rates_and_room_are_told_and_nothing_is_left(tmp_path: Path) -> None:
    disk = examine_disk("runs", tmp_path, size=2 * CHUNK_BYTES + 5)
    assert disk.error is None and disk.write_rate is not None and disk.read_rate is not None
    assert disk.write_rate > 0 and disk.read_rate > 0
    assert disk.free is not None and disk.total is not None and 0 < disk.free <= disk.total
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_measured_in_its_nearest_parent_and_not_made(tmp_path: Path) -> None:
    disk = examine_disk("runs", tmp_path / "a" / "b", size=CHUNK_BYTES)
    assert disk.measured_in == str(tmp_path) and disk.folder == str(tmp_path / "a" / "b") and disk.error is None
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "below"):
        error = examine_disk("runs", folder).error
        assert error is not None and "runs is a file" in error


def test_a_disk_that_fails_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    disk = examine_disk("runs", tmp_path, size=CHUNK_BYTES)
    assert disk.error == os.strerror(errno.ENOSPC) and disk.write_rate is None and list(tmp_path.iterdir()) == []


def test_reading_is_said_to_come_from_memory_where_the_system_cannot_forget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hasattr(os, "posix_fadvise"):
        assert not examine_disk("data", tmp_path, size=CHUNK_BYTES).page_cache
        monkeypatch.delattr(os, "posix_fadvise")
    assert examine_disk("data", tmp_path, size=CHUNK_BYTES).page_cache


def test_folders_on_one_file_system_are_measured_once(tmp_path: Path) -> None:
    data, runs = examine_disks({"data": tmp_path, "runs": tmp_path / "runs"})
    assert runs.same_as == "data" and data.same_as is None and runs.write_rate == data.write_rate


def test_a_folder_that_cannot_be_written_does_not_stand_for_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data, runs = examine_disks({"data": tmp_path / "file", "runs": tmp_path})
    assert data.error is not None and runs.error is None and runs.same_as is None and runs.write_rate is not None


def test_a_slow_disk_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.doctor.disk.SECONDS", 0)
    disk = examine_disk("runs", tmp_path)
    assert disk.error is None


def test_what_may_not_be_looked_at_counts_as_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = Path.exists

    def exists(self: Path) -> bool:
        if self.name == "secret":
            raise PermissionError(errno.EACCES, "denied")
        return true(self)

    monkeypatch.setattr(Path, "exists", exists)
    assert nearest_existing(tmp_path / "secret") == tmp_path

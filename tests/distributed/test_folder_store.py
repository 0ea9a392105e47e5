"""A folder in which processes meet: values are whole, counts differ, and nobody else gets in."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from lehr.distributed import launch
from lehr.distributed.folder_store import FolderStore, check_private
from lehr.errors import LehrError

posix = pytest.mark.skipif(os.name != "posix", reason="needs owners and permissions")


def test_keys_have_the_values_that_were_set(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    inner = store.within("a").within("b")
    assert not store.check(["x/y"])
    store.set("x/y", "1")
    inner.set("x/y", "\udc80é")
    assert store.get("x/y") == b"1" and inner.clone().get("x/y") == b"\x80\xc3\xa9"
    store.set("x/y", "longer")
    store.wait(["x/y"], timedelta(seconds=1))
    assert store.get("x/y") == b"longer" and store.check(["x/y"]) and not store.check(["x/y", "z"])
    with pytest.raises(RuntimeError, match="No such file"):
        store.get("z")
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="timed out waiting for z"):
        store.wait(["z"], timedelta(seconds=0.1))
    assert 0.1 <= time.monotonic() - began < 5
    with pytest.raises(RuntimeError, match="No such file"):
        FolderStore(tmp_path / "gone").set("x", "1")
    with pytest.raises(RuntimeError, match="No such file"):
        FolderStore(tmp_path / "gone").add("x", 1)


def test_each_finds_another_count_and_the_first_value_stays(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: store.add("count", 1), range(200)))
        list(pool.map(lambda number: store.compare_set("first", "", str(number)), range(200)))
    assert sorted(counts) == list(range(1, 201)) and store.add("count", 0) == 200
    first = store.get("first")
    store.compare_set("first", "", "another")
    assert store.get("first") == first and 0 <= int(first) < 200


def test_who_reads_finds_a_whole_value(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.set("beat", "0" * 5000)
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(lambda: [store.set("beat", str(number % 10) * 5000) for number in range(500)])
        while not writing.done():
            value = store.get("beat")
            assert len(value) == 5000 and len(set(value)) == 1
        writing.result()


@posix
@pytest.mark.parametrize("mode", [0o701, 0o710, 0o740, 0o704, 0o750, 0o777])
def test_a_folder_that_others_may_open_is_refused(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    check_private(folder)
    folder.chmod(mode)
    with pytest.raises(LehrError, match="is not a folder that only this user can open"):
        check_private(folder)


@posix
def test_a_link_and_the_folder_of_another_are_refused(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    with pytest.raises(LehrError, match="is not a folder that only this user can open"):
        check_private(tmp_path / "link")
    if os.geteuid() == 0:
        os.chown(tmp_path / "own", 65534, 65534)
        with pytest.raises(LehrError, match="is not a folder that only this user can open"):
            check_private(tmp_path / "own")


@posix
def test_a_run_does_not_begin_where_the_file_system_lets_others_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def mkdtemp(*_: object, **__: object) -> str:
        made.append(tmp_path / "open")
        made[-1].mkdir()
        made[-1].chmod(0o755)
        return str(made[-1])

    monkeypatch.setattr("tempfile.mkdtemp", mkdtemp)
    with pytest.raises(LehrError, match="Set TMPDIR to a folder"):
        launch.launch({}, 2, 0)
    assert made and not made[0].exists()


@posix
def test_the_folder_of_a_run_is_private_and_locked_against_cleaners() -> None:
    import fcntl

    with launch.private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        handle = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # as systemd-tmpfiles tries before it removes anything
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
    assert not folder.exists()

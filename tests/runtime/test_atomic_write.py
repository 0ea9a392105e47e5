"""A file is there whole, or as it was before."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_dir, atomic_file, clear_temporaries, is_temporary, make_inner_folder

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and a umask")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    with atomic_file(path, "Make room.") as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and [each.name for each in tmp_path.iterdir()] == ["x.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("nonsense")])
def test_a_file_that_fails_halfway_leaves_the_old_one_and_nothing_beside_it(error: Exception, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")
    expected = InputError if isinstance(error, OSError) else ValueError
    told = r"No space left on device\)\. Make room\.|nonsense"
    with pytest.raises(expected, match=told), atomic_file(path, "Make room.") as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and [each.name for each in tmp_path.iterdir()] == ["x.txt"]


def test_a_folder_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left on device"):
        atomic_dir(tmp_path / "set", write, "Make room.")
    assert list(tmp_path.iterdir()) == []


@unix
@pytest.mark.parametrize(("mask", "file", "folder"), [(0o077, 0o600, 0o700), (0o022, 0o644, 0o755), (0, 0o666, 0o777)])
def test_the_umask_decides_who_may_read(mask: int, file: int, folder: int, tmp_path: Path) -> None:
    with umask(mask):
        with atomic_file(tmp_path / "x", "Make room.") as temporary:
            assert temporary.stat().st_mode & 0o777 == file
            temporary.write_text("new")
        atomic_dir(tmp_path / "set", lambda made: (made / "a").mkdir(), "Make room.")
    assert (tmp_path / "x").stat().st_mode & 0o777 == file
    assert (tmp_path / "set").stat().st_mode & 0o777 == (tmp_path / "set" / "a").stat().st_mode & 0o777 == folder


@unix
def test_no_link_can_be_laid_where_a_file_will_be_written(tmp_path: Path) -> None:
    victim, path, names = tmp_path / "victim", tmp_path / "shared" / "out.json", set()
    path.parent.mkdir()
    victim.write_text("kept")
    for name in (".out.json.tmp", "out.json"):
        (path.parent / name).symlink_to(victim)
    for _ in range(3):
        with atomic_file(path, "Make room.") as temporary:
            names.add(temporary.name)
            assert is_temporary(temporary.name, ("out.json",))
            temporary.write_text("new")
    assert victim.read_text() == "kept" and not path.is_symlink() and path.read_text() == "new"
    assert len(names) == 3 and ".out.json.tmp" not in names


@unix
def test_two_processes_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with atomic_file(path, "") as one, atomic_file(path, "") as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one" and [each.name for each in tmp_path.iterdir()] == ["x"]


@unix
def test_what_a_kill_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    left = [".last.ckpt.0123456789abcdef.tmp", ".last.ckpt.tmp", ".a.b.tmp"]
    others = [
        ".last.ckpt.0123456789abcde.tmp",
        ".notes.tmp",
        "last.ckpt",
        ".last.ckpt.0123456789abcdef.tmp.kept",
        ".tmp",
    ]
    for name in (*left, *others):
        (tmp_path / name).write_text("half")
    (tmp_path / ".last.ckpt.fedcba9876543210.tmp").symlink_to(tmp_path / "last.ckpt")
    (tmp_path / ".last.ckpt.aaaaaaaaaaaaaaaa.tmp").mkdir()
    clear_temporaries(tmp_path, ("last.ckpt", "a.b"))
    remaining = {path.name for path in tmp_path.iterdir()}
    assert remaining == {*others, ".last.ckpt.fedcba9876543210.tmp", ".last.ckpt.aaaaaaaaaaaaaaaa.tmp"}


def test_a_long_name_is_written_too(tmp_path: Path) -> None:
    path = tmp_path / ("猫" * 80 + "x" * 12)
    with atomic_file(path, "Shorten it.") as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_what_others_may_be_writing_is_left_for_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / ".a.0123456789abcdef.tmp", tmp_path / ".a.fedcba9876543210.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, 1))
    clear_temporaries(tmp_path, ("a",), age=60)
    assert [path.name for path in tmp_path.iterdir()] == [new.name]


@unix
def test_a_link_in_the_place_of_an_inner_folder_is_refused(tmp_path: Path) -> None:
    make_inner_folder(tmp_path / "plots")
    make_inner_folder(tmp_path / "plots")
    (tmp_path / "link").symlink_to(tmp_path / "plots")
    with pytest.raises(InputError, match="is a link"):
        make_inner_folder(tmp_path / "link")


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_the_name_is_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flushed = tmp_path / "x.txt", []
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append((os.fstat(file).st_ino, path.read_text())))
    with atomic_file(path, "Make room.") as temporary:
        temporary.write_text("new")
    folder = [(tmp_path.stat().st_ino, "new")] if os.name != "nt" else []
    assert flushed == [(path.stat().st_ino, "old"), *folder]

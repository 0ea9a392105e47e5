"""Foreign files come in by one way: regular files, bounded, through links only where they may be."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from lehr.runtime.reading import NotRegular, TooLarge, open_append, open_file, open_overwrite, read_file, read_start

unix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and named pipes")


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345" and read_start(path, 2) == b"12" and read_start(path, 9) == b"12345"
    with pytest.raises(TooLarge, match="larger than 4 bytes") as raised:
        read_file(path, 4)
    assert raised.value.filename == str(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "b", 5)


@unix
@pytest.mark.timeout(10)
def test_nothing_but_a_regular_file_is_opened(tmp_path: Path) -> None:
    pipe, link, listening = tmp_path / "pipe", tmp_path / "link", socket.socket(socket.AF_UNIX)
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    with listening:
        listening.bind(str(tmp_path / "s"))
        for path, kind in [
            (pipe, "a named pipe"),
            (link, "a device"),
            (tmp_path, "a folder"),
            (tmp_path / "s", "a socket"),
        ]:
            for act in (lambda path: read_file(path, 9), lambda path: read_start(path, 9), open_file):
                with pytest.raises(NotRegular) as raised:
                    act(path)
                assert raised.value.strerror == f"is {kind}, no regular file"
    with pytest.raises(NotRegular):
        open_append(pipe)


@unix
def test_links_are_followed_only_where_they_may_be(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("kept")
    link.symlink_to(target)
    assert read_file(link, 9) == b"kept"
    with pytest.raises(NotRegular, match="symbolic link"):
        read_file(link, 9, links=False)
    for act in (open_append, open_overwrite):
        with pytest.raises(NotRegular):
            act(link)
    assert target.read_text() == "kept"


def test_a_file_is_appended_to_or_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for text in (b"a", b"b"):
        with open_append(path) as file:
            file.write(text)
    assert path.read_bytes() == b"ab"
    with open_overwrite(path) as file:
        file.write(b"c")
    assert path.read_bytes() == b"c"


@unix
def test_what_a_file_is_called_elsewhere_stays_as_it_is(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "log"
    for act, expected in ((open_append, b"keptnew"), (open_overwrite, b"new")):
        victim.write_text("kept")
        victim.chmod(0o600)
        path.unlink(missing_ok=True)
        path.hardlink_to(victim)
        with act(path) as file:
            file.write(b"new")
        assert victim.read_text() == "kept" and path.read_bytes() == expected
        assert path.stat().st_mode & 0o777 == 0o600 and victim.stat().st_nlink == 1
        assert {each.name for each in tmp_path.iterdir()} == {"victim", "log"}

"""A file is there whole, or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_dir, atomic_file


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

"""A cache is used as it is, code too: so it is one that nobody else can change, or it is refused."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.commands import lehr
from tests.conftest import make_squares

from lehr.data import cache, scan_index
from lehr.data.cache import open_store
from lehr.data.formats.shapes import load_shapes, write_shapes
from lehr.data.load import load_dataset
from lehr.engine.step import ForwardLoss
from lehr.errors import InputError
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.runtime import cache_folder as cache_module
from lehr.runtime.cache_folder import cache_folder, make_cache_folder
from lehr.runtime.compiled_code import INDUCTOR, TRITON, keep_compiled_code
from lehr.runtime.environment import preserve_environment
from lehr.runtime.ownership import is_own_file, require_own_tree

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners by number")

STRANGER = 4242


@pytest.fixture
def give_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a file or folder another user's; to that end, where the tests are not root's, all of ours."""

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, -1, follow_symlinks=False)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    return give


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of a test, not there yet."""
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o077])
def test_it_is_made_for_its_user_alone(mask: int, folder: Path) -> None:
    with umask(mask):
        made = make_cache_folder("images")
    assert made == folder / "images"
    assert made.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777, 0o707])
def test_one_that_others_can_write_is_refused_with_the_remedy(mode: int, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(InputError, match=rf"{folder}: can be written by others.*chmod go-w {folder}.*LEHR_CACHE"):
        cache_folder()
    done = lehr("train", "--data", "shapes", "--epochs", "1", cwd=folder.parent, code=2)
    assert done.stderr.startswith(f"lehr: {folder}: can be written by others") and not list(folder.iterdir())


def test_one_of_somebody_else_is_refused(folder: Path, give_away: Callable[[Path], None]) -> None:
    folder.mkdir(0o755)
    assert cache_folder() == folder
    give_away(folder)
    with pytest.raises(InputError, match=rf"{folder}: belongs to .*{STRANGER}|not to user {STRANGER}"):
        cache_folder()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="root alone can make what is root's")
def test_what_is_roots_may_be_used_by_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert cache_folder() == folder


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own folder")
def test_the_systems_is_closed_to_others_or_another_is_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    give_away: Callable[[Path], None],
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("LEHR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_module._temporary_folder.cache_clear()
    usual = tmp_path / "lehr"
    usual.mkdir()
    usual.chmod(0o777)
    assert cache_folder() == usual and usual.stat().st_mode & 0o777 == 0o700
    give_away(usual)
    caplog.set_level("WARNING", "lehr")
    if os.geteuid() == 0:
        other = cache_folder()
        assert other.parent == tmp_path / "tmp" and other.stat().st_mode & 0o777 == 0o700
        assert "belongs to" in caplog.text and "LEHR_CACHE" in caplog.text
    cache_module._temporary_folder.cache_clear()


@pytest.mark.parametrize("kind", ["writable", "foreign", "link"])
def test_planted_images_are_read_anew(
    kind: str, folder: Path, tmp_path: Path, give_away: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load_dataset(str(make_squares(tmp_path / "set", {"train": 2, "val": 1}, ".png"))).splits["train"]
    truth = open_store(samples, 64, "disk", print)(0)[0].copy()
    (path,) = (folder / "images").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    planted = path.with_name("planted")
    planted.write_bytes(b"\xff" * path.stat().st_size)
    if kind == "link":
        path.unlink()
        path.symlink_to(planted)
    else:
        planted.replace(path)
        path.chmod(0o666 if kind == "writable" else 0o600)
        if kind == "foreign":
            give_away(path)
            monkeypatch.setattr(cache, "make_cache_folder", lambda name: folder / name)
    np.testing.assert_array_equal(open_store(samples, 64, "disk", print)(0)[0], truth)
    assert not path.is_symlink()


def test_a_planted_index_is_not_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = scan_index.ScanIndex(("a",), np.zeros((1, 8), np.int64), {}, {})
    scan_index.save_index("key", index)
    (path,) = (folder / "scans").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert scan_index.load_index("key") is not None
    path.chmod(0o622)
    assert scan_index.load_index("key") is None
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert scan_index.load_index("key") is None


def test_a_planted_data_set_is_refused(folder: Path, give_away: Callable[[Path], None]) -> None:
    folder.mkdir(0o755)
    write_shapes(folder / "shapes-3", {"train": 2, "val": 1, "test": 1})
    (folder / "shapes-3").chmod(0o755)
    assert len(load_shapes().splits["train"]) == 2
    label = folder / "shapes-3" / "labels" / "train" / "0000.txt"
    label.chmod(0o666)
    with pytest.raises(InputError, match=rf"{label}: can be written by others"):
        load_shapes()
    folder.chmod(0o700)  # nobody else comes there
    assert len(load_shapes().splits["train"]) == 2
    give_away(label)
    with pytest.raises(InputError, match="belongs to"):
        load_shapes()


class Attack:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("variable", [INDUCTOR, TRITON])
def test_compiled_code_is_not_loaded_from_a_folder_that_others_write(
    variable: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squatted = tmp_path / "squatted"
    (squatted / "fxgraph" / "ab" / "hash").mkdir(parents=True)
    planted = squatted / "fxgraph" / "ab" / "hash" / "entry"
    planted.write_bytes(pickle.dumps(Attack(tmp_path / "ran")))
    squatted.chmod(0o777)
    tmp_path.chmod(0o755)
    monkeypatch.setenv(variable, str(squatted))
    model = build_model("yolov8n", ("a",), depth=0.01, width=0.0625)
    with pytest.raises(InputError, match=rf"{squatted}: can be written by others.*{variable}"):
        ForwardLoss(model, build_loss(model, LossOptions(), 64), torch.device("cpu")).compile("default", 2)
    squatted.chmod(0o755)
    planted.chmod(0o666)
    with pytest.raises(InputError, match=rf"{planted}: can be written by others"):
        keep_compiled_code()
    planted.unlink()
    planted.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=rf"{planted}: is a link"):
        keep_compiled_code()
    planted.unlink()
    with preserve_environment():
        keep_compiled_code()
        assert os.environ[variable] == str(squatted) and not (tmp_path / "ran").exists()


def test_torchs_own_folder_in_tmp_is_not_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Path(default_cache_dir()).mkdir(0o777)
    for given in (None, default_cache_dir(), ""):
        with preserve_environment():
            os.environ.pop(INDUCTOR, None)
            os.environ.pop(TRITON, None)
            if given is not None:
                os.environ[INDUCTOR] = given
            keep_compiled_code()
            assert os.environ[INDUCTOR] == str(folder / "compiled") and os.environ[TRITON] == str(folder / "kernels")
            assert (folder / "kernels").stat().st_mode & 0o777 == 0o700


def test_an_own_file_is_regular_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert not is_own_file(path)
    path.touch(0o644)
    assert is_own_file(path)
    path.chmod(0o664)
    assert not is_own_file(path)
    (tmp_path / "b").mkdir()
    assert not is_own_file(tmp_path / "b")
    require_own_tree(tmp_path / "missing")

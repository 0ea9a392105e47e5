"""Going on with the folder of a run that a stranger made: nothing outside of it changes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from tests.commands import Done, lehr
from tests.conftest import draw_squares

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs links and named pipes")

SMALL = ["--width", "0.125", "--imgsz", "64", "--batch", "4", "--device", "cpu", "--amp", "off", "--close-mosaic", "1"]
KEY = "ssh-ed25519 AAAA mine\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one epoch, on classes whose names hold lines of their own and codes of terminals."""
    root = tmp_path_factory.mktemp("stranger")
    for split in ("train", "val"):
        for number in range(2):
            draw_squares(root / "images" / split / f"{number}.png", [(8, 8, 40, 40)], seed=number)
            (root / "labels" / split).mkdir(parents=True, exist_ok=True)
            (root / "labels" / split / f"{number}.txt").write_text("0 0.375 0.375 0.5 0.5\n")
    (root / "set.yaml").write_text(
        'train: images/train\nval: images/val\nnames: ["a\\nssh-ed25519 AAAA forged\\e]0;title\\a\\r\\u202e", b]\n'
    )
    lehr(
        "train",
        "--data",
        root / "set.yaml",
        *SMALL,
        "--epochs",
        "1",
        "--repeat-threshold",
        "0.5",
        "--name",
        "run",
        cwd=root,
    )
    return root / "runs" / "run"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's."""
    path = tmp_path / "home" / "authorized_keys"
    path.parent.mkdir()
    path.write_text(KEY)
    return path


def go_on(folder: Path, code: int) -> Done:
    """Go on with the run for an epoch more."""
    return lehr("train", "--resume", folder, "--epochs", "2", cwd=folder.parent, code=code)


@pytest.mark.parametrize("name", ["train.log", ".lock.holder", ".lock", "config.yaml"])
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder"])
@pytest.mark.timeout(30)
def test_what_is_written_in_place_or_read_is_a_regular_file(name: str, kind: str, folder: Path, victim: Path) -> None:
    path = folder / name
    path.unlink()
    if kind in ("link", "dangling"):
        path.symlink_to(victim if kind == "link" else victim.with_name("new"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    if (name, kind) == (".lock", "pipe"):  # can be locked, and nothing is written to it
        return
    if name == "config.yaml" and kind != "folder":  # the checkpoint has the options, too
        assert str(path) in go_on(folder, 0).stdout and path.is_file() and not path.is_symlink()
        assert victim.read_text() == KEY and not victim.with_name("new").exists()
        return
    done = go_on(folder, 2)
    assert done.stderr.count("lehr: ") == 1 and str(path) in done.stderr, done.stderr
    assert victim.read_text() == KEY and [each.name for each in victim.parent.iterdir()] == [victim.name]


@pytest.mark.timeout(60)
def test_links_in_the_place_of_files_that_are_written_anew_are_replaced(folder: Path, victim: Path) -> None:
    names = ["results.csv", "best.safetensors", "last.safetensors", "precision.json", "previous.ckpt"]
    for name in names:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(victim)
        (folder / f".{name}.tmp").symlink_to(victim)
    for name in ("last.ckpt", "config.yaml"):
        (folder / f".{name}.tmp").symlink_to(victim)
    (folder / ".last.ckpt.0123456789abcdef.tmp").write_text("half of one")
    for name in ("train.log", ".lock.holder", ".lock"):  # hard links, which no look at the path shows
        (folder / name).unlink()
        (folder / name).hardlink_to(victim)
    go_on(folder, 0)
    assert victim.read_text() == KEY and victim.stat().st_nlink == 2  # that of the lock, which stays as it is
    assert not any((folder / name).is_symlink() for name in ("results.csv", "last.safetensors", "previous.ckpt"))
    assert not (folder / ".last.ckpt.0123456789abcdef.tmp").exists()
    assert "2/2" in (folder / "train.log").read_text()


def test_a_checkpoint_that_is_a_link_is_passed_over(folder: Path, victim: Path) -> None:
    (folder / "previous.ckpt").unlink()
    shutil.move(folder / "last.ckpt", victim.parent / "last.ckpt")
    (folder / "last.ckpt").symlink_to(victim.parent / "last.ckpt")
    assert "last.ckpt: cannot be read (is a symbolic link" in go_on(folder, 2).stderr
    (folder / "last.ckpt").unlink()
    shutil.move(victim.parent / "last.ckpt", folder / "previous.ckpt")
    (folder / "last.ckpt").symlink_to("/dev/zero")
    assert "Using the previous checkpoint" in go_on(folder, 0).stdout


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    (folder.parent / "latest").symlink_to(folder)
    go_on(folder.parent / "latest", 0)
    assert (folder.parent / "latest").is_symlink() and "2/2" in (folder / "train.log").read_text()


def test_a_run_that_was_named_by_a_path_goes_on_where_it_is(folder: Path) -> None:
    text = (folder / "config.yaml").read_text()
    assert "\nname: run\n" in text
    (folder / "config.yaml").write_text(text.replace("\nname: run\n", "\nname: ../../elsewhere\n"))
    go_on(folder, 0)
    assert "2/2" in (folder / "train.log").read_text() and not (folder.parent.parent / "elsewhere").exists()


def test_names_of_classes_begin_no_line_of_the_log(finished: Path) -> None:
    log = (finished / "train.log").read_bytes().decode()
    assert "forged" in log and not any(line.lstrip().startswith("ssh-") for line in log.splitlines())
    assert not any((ord(letter) < 32 and letter != "\n") or letter == "\u202e" for letter in log)


def test_a_folder_that_is_a_link_is_no_run_that_a_kill_left(victim: Path, tmp_path: Path) -> None:
    (victim.parent / ".lock").touch()
    victim.unlink()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "new").symlink_to(victim.parent)
    done = lehr("train", "--name", "new", "--epochs", "1", cwd=tmp_path, code=2)
    assert "never overwritten" in done.stderr and [each.name for each in victim.parent.iterdir()] == [".lock"]

"""A run's folder: its own, not overwritten, written by one process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lehr.checkpoint.run_folder import discard, is_held, make_run_folder, only_writer
from lehr.errors import InputError


def test_names_are_counted_on(tmp_path: Path) -> None:
    made = [make_run_folder(tmp_path / "runs", None).name for _ in range(3)]
    assert made == ["train", "train-2", "train-3"]


def test_a_folder_that_exists_is_refused_unless_a_kill_left_it_before_the_run_began(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match="never overwritten"):
        make_run_folder(tmp_path, "x")
    (tmp_path / "x" / ".config.yaml.tmp").write_text("half")
    assert make_run_folder(tmp_path, "x") == tmp_path / "x"
    discard(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    (tmp_path / "x" / ".git").mkdir(parents=True)
    discard(tmp_path / "x")
    assert (tmp_path / "x" / ".git").is_dir()
    with pytest.raises(InputError, match=r"never overwritten\. Choose another --name or --project\."):
        make_run_folder(tmp_path, "x")
    (tmp_path / "x" / "config.yaml").write_text("epochs: 3\n")
    with pytest.raises(InputError, match=rf"resume it: lehr train --resume {tmp_path / 'x'}"):
        make_run_folder(tmp_path, "x")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    with pytest.raises(InputError, match="runs"):
        make_run_folder(tmp_path / "runs", "x")


def test_one_process_holds_a_folder_and_lets_go_of_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with only_writer(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(InputError, match=f"is being trained by process {os.getpid()} on"), only_writer(tmp_path):
            pass
    assert not is_held(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_a_killed_process_holds_nothing_though_its_children_live(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom lehr.checkpoint.run_folder import only_writer\n"
        f"with only_writer(Path({str(tmp_path)!r})):\n"
        "    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert is_held(tmp_path)
    process.kill()
    process.wait()
    for _ in range(50):
        if not is_held(tmp_path):
            break
        time.sleep(0.1)
    assert not is_held(tmp_path)
    os.killpg(process.pid, 9)

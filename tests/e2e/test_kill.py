"""A run that is killed with SIGKILL again and again ends in the same bytes as one that is not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.crash import ANYWHERE, PLACES, crashed, differences, undisturbed

from lehr.checkpoint.format import read_checkpoint, write_checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that was left alone."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    undisturbed(folder)
    yield folder


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_ends_as_one_that_was_not(workers: int, whole: Path, tmp_path: Path) -> None:
    rng = random.Random(workers)
    places = [*PLACES, ANYWHERE, "inside a step"]
    rng.shuffle(places)
    crashes = crashed(tmp_path / "killed", workers, places, rng)
    assert crashes.places.total() == 5
    assert differences(whole, tmp_path / "killed") == []


def test_the_comparison_sees_a_difference(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    checkpoint = read_checkpoint(copy / "last.ckpt")
    next(iter(checkpoint.content["state"]["model"].values()))[0, 0, 0, 0] += 1e-6
    write_checkpoint(copy, checkpoint.content, checkpoint.position)
    (copy / "results.csv").write_text((copy / "results.csv").read_text().replace("\n2,", "\n3,"))
    assert differences(whole, copy) == ["results.csv", "last.ckpt: model"]

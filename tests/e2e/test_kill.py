"""A run that is killed with SIGKILL again and again ends in the same bytes as one that is not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks.crash import ANYWHERE, PLACES, STEP, WRITING, Process, crashed, differences, undisturbed
from tests.conftest import Once, make_squares
from tests.e2e.marked import SMALL, Marked
from tests.weights.published.published_files import with_statistics, write_published

from benchmarks import crash
from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.models.build import build_model

OPTIONS = (
    *(*SMALL, "--nominal-batch", "8", "--multi-scale", "0.3", "--image-weights"),
    *("--close-mosaic", "2", "--checkpoint-minutes", "0.003"),
)
SHORT, LONG = "short", "long"
STEPS = {SHORT: (3, 11), LONG: (4, 20)}
"""Epochs of runs, and steps of an epoch."""


@pytest.fixture(scope="module")
def length(request: pytest.FixtureRequest) -> str:
    """How long the runs are."""
    return str(request.param)


@pytest.fixture(scope="module")
def options(once: Once, length: str) -> tuple[str, ...]:
    """Those of a run."""
    epochs, steps = STEPS[length]
    data = once(f"killed-data-{length}", lambda folder: make_squares(folder, {"train": 4 * steps, "val": 4}))
    return ("--data", str(data / "data.yaml"), "--epochs", str(epochs), *OPTIONS)


@pytest.fixture(scope="module")
def whole(once: Once, options: tuple[str, ...], length: str) -> Path:
    """A run that was left alone."""

    def make(folder: Path) -> None:
        folder.mkdir()
        undisturbed(folder / "whole", options, Marked(folder))

    return once(f"killed-{length}", make) / "whole"


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch, length: str) -> None:
    """The kills come early enough that a short run has room for one at each place."""
    monkeypatch.setitem(crash.LONGEST, ANYWHERE, 2.0)
    for mark, count in ((STEP, 12), (WRITING, 4)) if length == LONG else ((STEP, 7), (WRITING, 2)):
        monkeypatch.setitem(crash.MAX_MARKS, mark, count)


@pytest.mark.usefixtures("pace")
@pytest.mark.parametrize(
    ("length", "workers", "kills"),
    [
        (SHORT, 2, 3),
        pytest.param(LONG, 0, 5, marks=pytest.mark.slow),
        pytest.param(LONG, 2, 5, marks=pytest.mark.slow),
    ],
    indirect=["length"],
)
def test_a_killed_run_ends_as_one_that_was_not(
    workers: int, kills: int, options: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    rng = random.Random(workers)
    places = [*PLACES, ANYWHERE, "inside a step"]
    rng.shuffle(places)
    crashes = crashed(tmp_path / "killed", workers, places[:kills], rng, options, Marked(tmp_path))
    assert crashes.places.total() == kills
    assert differences(whole, tmp_path / "killed") == []


@pytest.mark.slow
@pytest.mark.usefixtures("pace")
@pytest.mark.parametrize("length", [LONG], indirect=True)
def test_a_killed_run_needs_its_weights_never_again(options: tuple[str, ...], tmp_path: Path) -> None:
    epochs = options.index("--epochs")
    short = (*options[:epochs], "--epochs", "2", *options[epochs + 2 :])
    model = with_statistics(build_model("yolov8n", ("large", "cat"), 64, 7, depth=0.33, width=0.125))
    weights = write_published(tmp_path / "w.pt", model)
    given, marked = (*short, "--weights", str(weights)), Marked(tmp_path)
    undisturbed(tmp_path / "whole", given, marked)

    def begin(arguments: Sequence[str]) -> tuple[Process, int]:
        if "--resume" in arguments:
            weights.unlink(missing_ok=True)
        return marked(arguments)

    places = ["inside a step", "while a checkpoint is written"]
    crashes = crashed(tmp_path / "killed", 0, places, random.Random(3), given, begin)
    assert crashes.places.total() == 2 and not weights.exists()
    assert differences(tmp_path / "whole", tmp_path / "killed") == []


@pytest.mark.parametrize("length", [SHORT], indirect=True)
def test_the_comparison_sees_a_difference(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    checkpoint = read_checkpoint(copy / "last.ckpt")
    next(iter(checkpoint.content["state"]["model"].values()))[0, 0, 0, 0] += 1e-6
    write_checkpoint(copy, checkpoint.content, checkpoint.position)
    (copy / "results.csv").write_text((copy / "results.csv").read_text().replace("\n2,", "\n3,"))
    assert differences(whole, copy) == ["results.csv", "last.ckpt: model"]


@pytest.mark.slow
@pytest.mark.usefixtures("pace")
@pytest.mark.parametrize("length", [LONG], indirect=True)
def test_a_hundred_kills_change_no_end(options: tuple[str, ...], whole: Path, tmp_path: Path) -> None:
    rng, kills, run = random.Random(0), 0, 0
    while kills < 100:
        folder = tmp_path / f"run-{run}"
        folder.mkdir()
        places = rng.choices([*PLACES, ANYWHERE], k=5)
        kills += crashed(folder / "killed", 2 * (run % 2), places, rng, options, Marked(folder)).places.total()
        assert differences(whole, folder / "killed") == [], run
        shutil.rmtree(folder)
        run += 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_command_ends_as_one_that_was_not(workers: int, tmp_path: Path) -> None:
    """The command as a user starts it, on the data set that is generated."""
    undisturbed(tmp_path / "whole")
    rng = random.Random(workers)
    places = [*PLACES, ANYWHERE, "inside a step"]
    rng.shuffle(places)
    assert crashed(tmp_path / "killed", workers, places, rng).places.total() == 5
    assert differences(tmp_path / "whole", tmp_path / "killed") == []

"""Closing mosaic: short runs have some, a run of before goes on as it began, and a longer one closes as a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import resume, run, stop_at, stopped_run

from lehr.augment.closing import closing_epochs
from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.data.batch_makers import TrainBatches
from lehr.errors import Stopped


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """A batch of 4, one of 2."""
    return make_yolo(counts={"train": 6, "val": 4})


@pytest.fixture
def epochs_with_mosaic(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The epochs of which canvases are made with mosaic."""
    found: set[int] = set()
    asked = TrainBatches.mosaic_on

    def mosaic_on(make: TrainBatches, epoch: int) -> bool:
        found.update({epoch} if asked(make, epoch) else ())
        return asked(make, epoch)

    monkeypatch.setattr(TrainBatches, "mosaic_on", mosaic_on)
    return found


@pytest.mark.parametrize(
    ("epochs", "given", "closed"),
    [
        *((epochs, None, epochs // 3) for epochs in (1, 2, 3, 10, 29, 30)),
        *((epochs, None, 10) for epochs in (31, 100, 300)),
        *((12, given, given) for given in (0, 1, 4, 11)),
        *((12, given, 4) for given in (12, 13, 400)),
    ],
)
def test_a_number_that_is_given_is_kept_where_it_leaves_mosaic_at_all(epochs: int, given: Any, closed: int) -> None:
    assert closing_epochs(given, epochs) == closed


def test_a_short_run_has_mosaic_in_two_thirds_of_its_epochs_also_with_a_number_as_long_as_the_run(
    data: Path, tmp_path: Path, epochs_with_mosaic: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    run(data, tmp_path, "unset", epochs=3, close_mosaic=None)
    assert epochs_with_mosaic == {0, 1}
    assert "--close-mosaic" not in capsys.readouterr().out
    run(data, tmp_path, "too-long", epochs=3, close_mosaic=3)
    said = capsys.readouterr().out
    assert "--close-mosaic 3 has no effect: the run has 3 epochs, so mosaic is off in the last 1" in said
    assert differences(tmp_path / "unset", tmp_path / "too-long") == []
    run(data, tmp_path, "without", epochs=3, close_mosaic=None, mosaic=0)
    assert differences(tmp_path / "unset", tmp_path / "without")


def to_the_letter(given: int | None, epochs: int) -> int:
    """Closing as it was, when a run of no more epochs than this had no mosaic at all."""
    return 10 if given is None else given


def of_before(folder: Path) -> None:
    """Make a run's checkpoint what it was before a run kept how many epochs it closes."""
    checkpoint = read_checkpoint(folder / "last.ckpt")
    del checkpoint.content["plan"]["closed"]
    write_checkpoint(folder, checkpoint.content, checkpoint.position)


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A run is begun as before, until this is called."""
    monkeypatch.setattr("lehr.engine.resume.closing_epochs", to_the_letter)
    return monkeypatch.undo


def test_a_run_that_was_begun_without_mosaic_ends_without(
    data: Path, tmp_path: Path, earlier: Callable[[], None]
) -> None:
    run(data, tmp_path, "whole", close_mosaic=10)
    folder = stopped_run(data, tmp_path, "stopped", 1, close_mosaic=10)
    earlier()
    of_before(folder)
    with stop_at(2), pytest.raises(Stopped):
        resume(folder)
    resume(folder)  # once more, from a checkpoint of now
    assert differences(tmp_path / "whole", folder) == []
    run(data, tmp_path, "now", close_mosaic=10)
    assert differences(tmp_path / "whole", tmp_path / "now")


def test_a_longer_run_closes_as_a_new_one_of_its_length(
    data: Path, tmp_path: Path, epochs_with_mosaic: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(data, tmp_path, "run", epochs=1, close_mosaic=None).folder
    resume(folder, {"epochs": 3})
    assert epochs_with_mosaic == {0, 1}
    assert "mosaic is off for the last 1 of these epochs" in capsys.readouterr().out

"""results.csv has the norm of the gradients of each epoch, and the share of the steps that were clipped."""

from __future__ import annotations

import csv
import statistics
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.engine.conftest import Undisturbed
from tests.engine.runs import on, resume, run, stopped_run

from lehr.callbacks.events import BatchEnd
from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.engine.state import EpochSums


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Two batches of 4, one of 2."""
    return make_yolo(counts={"train": 10, "val": 4})


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").open()))


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"nominal_batch": 4}, 0.0),
        ({"nominal_batch": 8, "warmup": "none"}, 20.0),
        ({"model": "yolov5n"}, 20.0),
        *(
            pytest.param(options, bound, marks=pytest.mark.slow)
            for options, bound in (
                *(({"nominal_batch": 4}, 20.0), ({"nominal_batch": 8, "warmup": "none"}, 0.0)),
                ({"model": "yolov5n"}, 0.0),
            )
        ),
    ],
)
def test_each_epoch_has_the_mean_norm_and_the_share_of_clipped_steps(
    options: dict[str, Any], bound: float, data: Path, tmp_path: Path
) -> None:
    norms: dict[int, list[float]] = {}

    def note(event: BatchEnd) -> None:
        if event.updated and event.norm is not None:
            norms.setdefault(event.epoch, []).append(event.norm)

    with on("on_train_batch_end", note):
        folder = run(data, tmp_path, "run", clip_norm=bound, **options).folder
    rows = rows_of(folder)
    assert len(rows) == len(norms) == 2
    for row, each in zip(rows, norms.values(), strict=True):
        assert float(row["grad/norm"]) == pytest.approx(statistics.fmean(each), rel=1e-5)
        share = f"{sum(norm > bound for norm in each) / len(each):.6g}" if bound else ""
        assert row["grad/clipped"] == share


def test_an_epoch_without_an_optimizer_step_has_no_norm(data: Path, tmp_path: Path) -> None:
    folder = run(data, tmp_path, "run", nominal_batch=16, warmup="none").folder  # each fourth of six batches
    assert [row["grad/norm"] == "" for row in rows_of(folder)] == [True, False]


def test_a_step_is_clipped_above_the_bound_only() -> None:
    sums = EpochSums(None)  # type: ignore[arg-type]
    for norm in (10.0, 10.5, 3.0, 200.0):
        sums.add_update(norm, 10.0)
    assert sums.clipped_share == 0.5 and sums.mean_norm == pytest.approx(223.5 / 4)
    sums.add_update(1e9, 0.0)
    assert sums.clipped == 2


def test_a_run_of_before_these_columns_goes_on(data: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    folder = stopped_run(data, tmp_path, "stopped", 4, epochs=3)
    checkpoint = read_checkpoint(folder / "last.ckpt")
    for name in ("updates", "norms", "clipped"):
        del checkpoint.content["state"]["sums"][name]
    for row in checkpoint.content["state"]["history"]:
        del row["grad/norm"], row["grad/clipped"]
    write_checkpoint(folder, checkpoint.content, checkpoint.position)
    resume(folder)
    whole = undisturbed(data, epochs=3)
    rows, others = rows_of(folder), rows_of(whole)
    assert [row["grad/norm"] == "" for row in rows] == [True, False, False]
    assert rows[2]["grad/norm"] == others[2]["grad/norm"]
    assert (whole / "last.safetensors").read_bytes() == (folder / "last.safetensors").read_bytes()

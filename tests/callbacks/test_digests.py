"""Runs that record digests: the same file after a stop as without one, and the same weights as without digests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import before_step, on, resume, run, stopped_run

from lehr.callbacks.events import BatchEnd, BatchStart
from lehr.checkpoint.digest_file import DIGESTS, END, STEP, open_digests
from lehr.data.image_marks import MARKS, read_marks
from lehr.runtime.tensor_digest import folded, image_digests

COUNTS = {"train": 10, "val": 4}
OPTIONS = {"epochs": 2, "multi_scale": 0.5, "nominal_batch": 8}


@pytest.mark.parametrize("stop", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_stopped_run_has_the_file_of_one_that_was_not(stop: int, make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts=COUNTS)
    run(data, tmp_path, "without", **OPTIONS)
    seen: dict[int, tuple[list[int], list[int]]] = {}
    ends: dict[int, BatchEnd] = {}

    def note(event: BatchStart) -> None:
        seen[event.step] = event.batch.indices.tolist(), folded(image_digests(event.batch.images).numpy()).tolist()

    with before_step(note), on("on_train_batch_end", lambda event: ends.__setitem__(event.step, event)):
        run(data, tmp_path, "whole", digests=True, **OPTIONS)
    assert differences(tmp_path / "without", tmp_path / "whole") == []
    file = open_digests(tmp_path / "whole")
    assert file is not None
    (records,) = file.blocks()
    assert records["kind"].tolist() == [STEP] * 6 + [END]
    for step, record in enumerate(records[:-1]):
        images, pixels = seen[step]
        assert record["index"][: len(images)].tolist() == images and record["total"] == len(images)
        assert record["pixels"][: len(images)].tolist() == pixels
        end = ends[step]
        assert record["losses"].tolist() == list(end.losses.values())
        assert record["updated"] == end.updated and bool(np.isnan(record["norm"])) == (end.norm is None)
    assert (records["weights"][0] != records["weights"][-1]).any()
    folder = stopped_run(data, tmp_path, "stopped", stop, digests=True, **OPTIONS)
    with (folder / DIGESTS).open("ab") as other:  # as of steps that the checkpoint does not know
        other.write(b"more" * 1000)
    resume(folder)
    assert (folder / DIGESTS).read_bytes() == (tmp_path / "whole" / DIGESTS).read_bytes()
    assert (folder / MARKS).read_bytes() == (tmp_path / "whole" / MARKS).read_bytes()


def test_every_run_keeps_fingerprints_of_its_images(make_yolo: MakeYolo, tmp_path: Path) -> None:
    run(make_yolo(counts=COUNTS), tmp_path, "run", epochs=1)
    assert not (tmp_path / "run" / DIGESTS).exists()
    marks = read_marks(tmp_path / "run")
    assert marks is not None and marks.names == ("small", "large")
    assert [each.name for each in marks.split("train")] == [f"{index}.jpg" for index in range(10)]
    assert all(each.content and each.width == 64 for each in marks.images) and len(marks.images) == 14


def test_a_file_that_cannot_be_written_ends_no_run(
    make_yolo: MakeYolo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lay_a_folder(event: object) -> None:
        (tmp_path / "run" / DIGESTS).mkdir()

    with on("on_pretrain_routine_start", lay_a_folder):
        run(make_yolo(counts=COUNTS), tmp_path, "run", epochs=1, digests=True)
    assert f"{DIGESTS}: cannot be written (is a folder, no regular file). The run continues without digests." in (
        caplog.text
    )

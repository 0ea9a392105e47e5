"""The study of fine-tuning: data without a class, the figures of a run, and the tables of a document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import MakeYolo

from benchmarks import fine_tuning
from lehr.data.load import load_dataset


def record(setting: str, seed: int, best: float, **more: Any) -> dict[str, Any]:
    figures = {"map": best, "last": best - 0.1, "epochs": 6, "asked": 24, "imgsz": 192, "peak_mib": 1000 + seed}
    return {"target": "cells", "model": "yolov8n", "setting": setting, "seed": seed, **figures, **more}


def test_a_class_is_left_out_of_a_copy_and_the_others_stay_as_they_are(make_yolo: MakeYolo, tmp_path: Path) -> None:
    source = make_yolo(counts={"train": 6, "val": 4})
    before = load_dataset(str(source))
    after = load_dataset(str(fine_tuning.without_class(str(source), "small", tmp_path / "copy")))
    assert after.names == ("large",) and after.faults == ()
    for split in ("train", "val"):
        kept = [sample.boxes[sample.classes == 1] for sample in before.splits[split]]
        assert [len(sample.boxes) for sample in after.splits[split]] == list(map(len, kept))
        for sample, boxes in zip(after.splits[split], kept, strict=True):
            np.testing.assert_allclose(sample.boxes, boxes, atol=0.01)


def test_names_of_settings_are_unique_and_the_defaults_are_among_them() -> None:
    names = [cell.name for cell in fine_tuning.cells()]
    assert len(names) == len(set(names))
    for target, (multiple, warmup) in fine_tuning.DEFAULTS.items():
        assert f"{target}/yolov8n/rate x{multiple:g}, warmup {warmup}" in names


def test_tables_have_mean_and_spread_of_the_seeds_and_are_written_between_their_markers(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    marks = [
        f"<!-- {name}: written by benchmarks/fine_tuning.py -->\nold\n<!-- end of {name} -->\n"
        for name in fine_tuning.TABLES
    ]
    document.write_text("before\n" + "between\n".join(marks) + "after\n", encoding="utf-8")
    records = [record("rate x0.3, warmup 1 epoch", seed, best) for seed, best in ((1, 0.5), (0, 0.4), (2, 0.6))]
    fine_tuning.write_tables(
        document, [*records, record("freeze 10", 0, 0.3), record("freeze 10", 0, 0.2, asked=8, start=0.25)]
    )
    text = document.read_text(encoding="utf-8")
    tuned = "0.500 (0.400 to 0.600) | 0.400 (0.300 to 0.500) | 1,001 |"
    row = f"| cells | yolov8n-bccd | rate x0.3, warmup 1 epoch (default) | 192 | 6 | 3 |  | {tuned}"
    assert text.count(row) == len(fine_tuning.TABLES)  # the default stands in each table
    assert text.count("| cells | yolov8n-bccd | freeze 10 | 192 | 6 | 1 |  | 0.300 | 0.200 | 1,000 |") == 1
    assert (
        text.count("| cells | yolov8n-bccd | freeze 10 | 192 | 6 | 1 | 0.250 | 0.200 | 0.100 | 1,000 |") == 1
    )  # of shorter runs
    assert text.startswith("before\n<!-- quarter") and text.endswith("-->\nafter\n") and "old" not in text
    fine_tuning.write_tables(document, records)
    assert "freeze" not in document.read_text(encoding="utf-8") and tuned in document.read_text(encoding="utf-8")
    (tmp_path / "other.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(SystemExit, match="lacks the markers of the table 'quarter'"):
        fine_tuning.write_tables(tmp_path / "other.md", records)


def test_the_figures_of_a_run_leave_out_the_start_before_the_first_epoch(tmp_path: Path) -> None:
    head = "epoch,step,seconds,images_per_second,val/map,val/map50,val/map_max_det,val/map50_max_det"
    rows = [
        "0,0,1,0,0.9,0.9,0.9,0.9",
        "1,5,2,10,0.1,0.2,0.1,0.2",
        "2,10,3,30,0.4,0.5,0.4,0.5",
        "3,15,4,50,0.3,0.4,0.3,0.4",
    ]
    (tmp_path / "results.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    found = fine_tuning.numbers(tmp_path / "results.csv")
    assert (found["map"], found["best_epoch"], found["last"], found["epochs"]) == (0.4, 2, 0.3, 3)
    assert found["start"] == 0.9
    assert found["course"] == [0.1, 0.4, 0.3] and found["images_per_second"] == 40

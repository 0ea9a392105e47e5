"""The page of a run from its files alone, whoever wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.analysis.cases import random_record

from lehr.analysis.data_summary import DATA_SUMMARY, save_data_summary, summarize_data
from lehr.analysis.record_file import save_record
from lehr.checkpoint.run_folder import DETECTIONS
from lehr.errors import InputError
from lehr.report.page import render_page
from lehr.report.pieces import Chart, Gallery, Matrix
from lehr.report.run_files import read_run
from lehr.report.run_page import build_page, run_page
from lehr.sample import Dataset

HEAD = "epoch,step,seconds,images_per_second,train/box,val/box,val/precision,val/recall,val/f1"
HEAD += ",val/map50,val/map,lr/weights"
ODD = "<script>alert(1)</script>"


def a_run(folder: Path, lines: int = 3, options: str = "model: yolov8n\nepochs: 5\n") -> Path:
    """Write the files of a run whose second epoch is the best."""
    folder.mkdir()
    (folder / "config.yaml").write_text(options)
    maps = (0.2, 0.4, 0.3, 0.3, 0.3)
    rows = [f"{e},{10 * e},{60 * e},33,1.{e},2.{e},0.5,0.6,0.55,0.6,{maps[e - 1]},0.01" for e in range(1, lines + 1)]
    (folder / "results.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return folder


def test_the_best_epoch_is_that_of_the_run_whose_fitness_looks_at_all_that_was_kept(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", lines=2)
    head, first, second = (folder / "results.csv").read_text().splitlines()
    kept = [f"{head},val/map50_max_det,val/map_max_det", f"{first},0.6,0.5", f"{second},0.6,0.45"]
    (folder / "results.csv").write_text("\n".join(kept) + "\n")
    best = read_run(folder).best
    assert best is not None and best["epoch"] == 1


def charts(folder: Path) -> dict[str, Chart]:
    page = run_page(read_run(folder))
    return {piece.name: piece for section in page.sections for piece in section.pieces if isinstance(piece, Chart)}


def test_a_run_s_page_names_its_best_epoch_and_draws_its_columns(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "coins")
    page = run_page(read_run(folder))
    assert page.title == "coins"
    assert page.answers == [
        "Epoch 2 is the best: mAP50-95 0.400, mAP50 0.600, precision 0.500, recall 0.600.",
        "3 of 5 epochs are done.",
    ]
    assert dict(page.summary)["Time"] == "3:00" and dict(page.summary)["Images per second"] == "33 (median)"
    drawn = charts(folder)
    assert list(drawn) == ["train-losses", "val-losses", "metrics", "precision-recall-f1", "speed", "rates"]
    (ap50, ap) = drawn["metrics"].series
    assert (ap50.name, list(ap.x), list(ap.y)) == ("mAP50", [1, 2, 3], [0.2, 0.4, 0.3])
    assert [(mark.x, mark.label) for mark in drawn["metrics"].markers] == [(2, "best epoch")]


def test_a_run_without_an_epoch_has_a_page_that_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("epochs: 5\n")
    path, late = build_page(folder)
    assert late == [] and path == folder / "report.html"
    text = path.read_text()
    assert "No epoch has finished yet." in text and 'id="charts"' not in text


def test_a_damaged_results_file_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    with (folder / "results.csv").open("a") as file:
        file.write("nonsense\n4,40,240,inf,nan,1e999,,x\n")
    page = run_page(read_run(folder))
    assert page.notes[0] == "results.csv: 1 line has no epoch and is not shown."
    drawn = charts(folder)
    assert list(drawn["train-losses"].series[0].y) == [1.1, 1.2, 1.3, None]


def test_options_of_others_are_text(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", options=f"data: '{ODD}'\nmodel: \"x\\e[2J\"\n")
    text = render_page(run_page(read_run(folder)))
    assert ODD not in text and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\x1b" not in text


def test_a_column_of_others_does_not_end_the_script_with_its_values(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    text = (folder / "results.csv").read_text().replace("train/box", f"train/{ODD}<!--")
    (folder / "results.csv").write_text(text)
    page = render_page(run_page(read_run(folder)))
    assert ODD not in page and "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e\\u003c!--" in page


@pytest.mark.parametrize("name", ["results.csv", "config.yaml"])
def test_a_link_in_a_run_s_folder_is_not_followed(name: str, tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text((folder / name).read_text())
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    if name == "config.yaml":
        with pytest.raises(InputError, match="symbolic link"):
            read_run(folder)
    else:
        assert "symbolic link" in read_run(folder).notes[0] and not read_run(folder).rows


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run: it has no config\.yaml"):
        build_page(tmp_path)


def a_log(folder: Path, *lines: dict[str, object]) -> None:
    """Write the log of a run of 10 batches an epoch."""
    start = {"kind": "start", "epoch": 0, "step": 0, "resumed": False, "options": {}, "versions": {}, "machine": {}}
    start |= {"device": "cpu", "processes": 1, "names": ["a"], "parts": ["box"], "images": {}, "batches": 10}
    start |= {"warmup": 5, "closed": 1, "data": "", "notes": [], "time": 1.0}
    again = {**start, "resumed": True, "step": 7}
    written = [start, *lines] if lines else [start, again]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))


def step(number: int, **values: object) -> dict[str, object]:
    fixed = {"kind": "step", "epoch": number // 10, "step": number, "batches": 1, "images": 4, "losses": {"box": 1.0}}
    fixed |= {"norm": 2.0, "rates": {"weights": 0.1}, "momentum": 0.9, "accumulate": 1, "loss_scale": None}
    return {**fixed, "finite": True, **values}


def test_the_log_of_a_run_gives_curves_of_its_steps_and_marks_of_its_turns(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    turn = {"epoch": 0, "kind": "rollback", "lr_scale": 0.5, "precision": "float32", "rollbacks": 1}
    a_log(
        folder,
        *(step(number) for number in range(6)),
        {"kind": "warmup-end", "epoch": 0, "step": 5},
        *(step(number, loss_scale=2.0**number, norm=9.0) for number in range(6, 20)),
        {**turn, "step": 12, "from_step": 20},
        *(step(number, norm=1.0) for number in range(12, 20)),
        {"kind": "mosaic-close", "epoch": 2, "step": 20},
        {"kind": "best", "epoch": 1, "step": 20, "metrics": {}},
    )
    drawn = charts(folder)
    losses, norm = drawn["step-losses"].series[0], drawn["gradient-norm"].series[0]
    assert list(losses.x) == list(range(1, 21)) and list(norm.y) == [2.0] * 6 + [9.0] * 6 + [1.0] * 8
    assert {"rates", "momentum", "accumulation", "loss-scale"} <= drawn.keys()
    marks = [(5, "warmup ends"), (20, "rollback to batch 12"), (20, "mosaic closes"), (20, "best epoch")]
    assert [(mark.x, mark.label) for mark in drawn["rates"].markers] == marks
    assert [(mark.x, mark.label) for mark in drawn["metrics"].markers] == [(x / 10, label) for x, label in marks]
    (section,) = (each for each in run_page(read_run(folder)).sections if each.name == "curves")
    assert "1 rollback" in section.answers[0]


def test_a_run_that_was_resumed_has_a_mark_there(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    a_log(folder)
    assert [(mark.x, mark.label) for mark in charts(folder)["metrics"].markers] == [(0.7, "resumed")]


def test_overfitting_is_named_where_the_losses_part(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    head = "epoch,train/box,val/box,val/map50,val/map\n"
    rows = "".join(f"{e},{2 - e / 10},{1 + abs(e - 4) / 10},0.5,0.5\n" for e in range(1, 11))
    (folder / "results.csv").write_text(head + rows)
    (section,) = (each for each in run_page(read_run(folder)).sections if each.name == "curves")
    assert any("lowest in epoch 4" in answer for answer in section.answers)
    flat = "".join(f"{e},{2 - e / 10},{2 - e / 10},0.5,0.{e:02}\n" for e in range(1, 11))
    (folder / "results.csv").write_text(head + flat)
    (section,) = (each for each in run_page(read_run(folder)).sections if each.name == "curves")
    assert not any("overfitting" in answer for answer in section.answers)


def test_no_epoch_is_the_best_where_nothing_was_learned(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    for found, marks in (("0", []), ("0.3", ["best epoch"])):
        rows = "".join(f"{epoch},1,1,{found},0\n" for epoch in range(1, 4))
        (folder / "results.csv").write_text(f"epoch,train/box,val/box,val/map50,val/map\n{rows}")
        assert [mark.label for mark in charts(folder)["metrics"].markers] == marks
        (section,) = (each for each in run_page(read_run(folder)).sections if each.name == "curves")
        assert any("Nothing was learned yet" in answer for answer in section.answers) == (not marks)


def test_every_section_and_figure_stands_once(tmp_path: Path) -> None:
    folder, record = a_run(tmp_path / "run"), random_record(1)
    save_record(record, folder / DETECTIONS)
    dataset = Dataset("x", record.names, {"train": record.samples, "val": record.samples})
    save_data_summary(folder / DATA_SUMMARY, summarize_data(dataset, 640))
    sections = run_page(read_run(folder)).sections
    names = [section.name for section in sections]
    assert len(names) == len(set(names)) and {"curves", "data", "mistakes", "suspects", "options"} <= set(names)
    figures = [piece.name for each in sections for piece in each.pieces if isinstance(piece, Chart | Matrix | Gallery)]
    assert len(figures) == len(set(figures)) > 5

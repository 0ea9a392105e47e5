"""The page of a run from its files alone, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr.errors import InputError
from lehr.report.page import render_page
from lehr.report.pieces import Chart
from lehr.report.run_files import read_run
from lehr.report.run_page import build_page, run_page

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
    assert dict(page.summary)["Time"] == "3:00" and dict(page.summary)["Images a second"] == "33 (median)"
    drawn = charts(folder)
    assert list(drawn) == ["train-losses", "val-losses", "metrics", "precision-recall-f1", "rates", "speed"]
    (ap50, ap) = drawn["metrics"].series
    assert (ap50.name, list(ap.x), list(ap.y)) == ("mAP50", [1, 2, 3], [0.2, 0.4, 0.3])
    assert [(mark.x, mark.label) for mark in drawn["metrics"].markers] == [(2, "best epoch")]


def test_a_run_without_an_epoch_has_a_page_that_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("epochs: 5\n")
    text = build_page(folder).read_text()
    assert "No epoch has finished yet." in text and 'id="charts"' not in text


def test_a_damaged_results_file_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    with (folder / "results.csv").open("a") as file:
        file.write("nonsense\n4,40,240,inf,nan,1e999,,x\n")
    page = run_page(read_run(folder))
    assert page.notes == ["results.csv: 1 line has no epoch and is not shown."]
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
    with pytest.raises(InputError, match=r"is no run: it has no config\.yaml"):
        build_page(tmp_path)

"""results.csv: a header and a row an epoch, those of a run that began with fewer columns too."""

from __future__ import annotations

from pathlib import Path

from lehr.checkpoint.results_csv import Row, write_results


def test_values_stand_under_their_columns_and_what_was_not_measured_is_empty(tmp_path: Path) -> None:
    rows: list[Row] = [{"epoch": 1, "map": None, "loss": 0.123456789}, {"epoch": 2, "map": 0.5, "loss": 1.0}]
    write_results(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text() == "epoch,map,loss\n1,,0.123457\n2,0.5,1\n"


def test_a_column_that_came_after_a_run_began_is_empty_in_its_earlier_rows(tmp_path: Path) -> None:
    rows: list[Row] = [{"epoch": 1, "map": 0.25, "old": 7}, {"epoch": 2, "new": 0.5, "map": 0.75}]
    write_results(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text() == "epoch,new,map,old\n1,,0.25,7\n2,0.5,0.75,\n"


def test_without_rows_there_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch\n1\n")
    write_results(tmp_path / "a.csv", [])
    assert not (tmp_path / "a.csv").exists()

"""Records of a study's runs: what is there is not trained again, and tables find their places."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.records import Record, read_records, spread, train_missing, write_between


def test_a_run_is_trained_once_and_recorded_at_once(tmp_path: Path) -> None:
    path, trained = tmp_path / "runs.jsonl", []

    def train(seed: int) -> Record:
        assert [each["seed"] for each in read_records(path)] == trained  # those before it are there already
        trained.append(seed)
        return {"seed": seed, "map": 0.5, "course": [0.1, 0.5]}

    for seeds in ((0, 1), (1, 2, 0)):
        train_missing(path, [({"seed": seed}, lambda seed=seed: train(seed)) for seed in seeds])  # type: ignore[misc]
    assert trained == [0, 1, 2] and [each["seed"] for each in read_records(path)] == trained


def test_a_spread_has_mean_and_bounds_and_one_value_stands_alone() -> None:
    assert spread([0.4, 0.6, 0.5]) == "0.500 (0.400 to 0.600)" and spread([0.4]) == "0.400"


def test_a_table_takes_the_place_between_its_markers_or_they_are_said_to_be_missing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<b>\nold\n<e> z\n", encoding="utf-8")
    write_between(page, "<b>\n", "<e>", "new", "rates")
    assert page.read_text(encoding="utf-8") == "a\n<b>\nnew\n<e> z\n"
    with pytest.raises(SystemExit, match="lacks the markers of the table 'speeds'"):
        write_between(page, "<c>\n", "<f>", "new", "speeds")

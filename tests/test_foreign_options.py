"""A file of options may come from a stranger: it makes a run in one place, of a size that can be meant."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from lehr.checkpoint.run_folder import make_run_folder
from lehr.config import build_config
from lehr.errors import InputError
from lehr.yaml_files import read_mapping
from tests.commands import lehr


@pytest.mark.parametrize(
    "name", ["../x", "../../x", "a/b", "/tmp/x", "..", ".", "a\\b", "", " ", "a\nb", "a\x1b[2J", "x\u202egnp", "\udcff"]
)
def test_a_run_has_the_name_of_one_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"options: --name is .*; it must be (the name of a single|a name without)"):
        build_config({"name": name})
    with pytest.raises(InputError, match="--name is "):
        make_run_folder(tmp_path / "runs", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x", "train-2", "..x", "x..", "Straße 猫", "-x", ".hidden", "~"])
def test_other_names_are_taken(name: str, tmp_path: Path) -> None:
    assert build_config({"name": name}).run.name == name
    assert make_run_folder(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("processes", 100_000),
        ("workers", 1_000_000),
        ("imgsz", 10**8),
        ("epochs", 10**12),
        ("batch", 10**9),
        ("batch", 10**400),
        ("nominal_batch", 10**30),
        ("max_det", 10**9),
        ("restarts", 10**12),
        ("timeout", float("inf")),
        ("timeout", 1e300),
        ("grid_max", 10**6),
        ("patience", 10**50),
        ("close_mosaic", 10**40),
        ("anchors", 10**6),
        ("depth", 1e9),
    ],
)
def test_numbers_that_nobody_means_are_refused_with_their_bounds(option: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump({"data": "shapes", option: value}))
    done = lehr("train", "--config", path, cwd=tmp_path, code=2)
    assert f"{path}: --{option.replace('_', '-')} is " in done.stderr and "must be" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["options.yaml"]


def test_numbers_that_somebody_may_mean_are_taken() -> None:
    many = {"processes": 64, "workers": 256, "imgsz": 4096, "epochs": 10_000, "batch": 16_384, "patience": 10**9}
    assert build_config({**many, "max_det": 10_000, "timeout": 1e6}).epochs == 10_000


@pytest.mark.parametrize("text", ["[" * 20_000, "lr0: " + "{a: [" * 10_000, "[" * 350_000])
def test_brackets_without_end_are_refused_at_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    started = time.perf_counter()
    with pytest.raises(InputError, match=r"a\.yaml: is nested too deeply"):
        read_mapping(tmp_path / "a.yaml")
    assert time.perf_counter() - started < 1

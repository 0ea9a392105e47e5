"""A run's data are found again from another folder, and never those of another data set."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from lehr.cli.train_options import RunArguments
from lehr.config import build_config
from lehr.data.relocation import data_of_run, data_source, from_file, places_of, relocated, resumed_from
from lehr.errors import InputError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run was begun, with its data; the process works in another folder."""
    home = tmp_path / "home"
    (home / "runs" / "train").mkdir(parents=True)
    for name in ("data.yaml", "train.json", "val.json"):
        (home / name).write_text("{}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return home


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("data.yaml", "{0}/data.yaml"),
        ("train.json,val.json", "{0}/train.json,{0}/val.json"),
        ("train.json, val.json", "{0}/train.json,{0}/val.json"),
        ("yolo:data.yaml", "yolo:{0}/data.yaml"),
        ("runs", "{0}/runs"),
        ("other.yaml", None),
        ("train.json,other.json", None),
        ("s3://bucket/data", None),
    ],
)
def test_sources_are_found_in_another_folder(source: str, found: str | None, place: Path) -> None:
    assert relocated(source, place) == (None if found is None else found.format(place))


def test_a_run_says_where_it_was_begun_only_where_that_matters(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert build_config({"data": "data.yaml"}).for_file()["begun_in"] == str(place)
    for data in ("shapes", str(place / "data.yaml"), "~/data.yaml"):
        assert "begun_in" not in build_config({"data": data}).for_file()
    assert "begun_in" in build_config({"data": "shapes", "weights": "w.safetensors"}).for_file()
    assert build_config(build_config({"data": "data.yaml"}).for_file()).begun_in == place


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("project", ["runs", "./runs"])
def test_a_run_finds_its_data_from_elsewhere(said: bool, project: str, place: Path) -> None:
    """Runs that are older do not say where they were begun; their folder shows it."""
    more = {"begun_in": str(place)} if said else {}
    config = build_config({"data": "data.yaml", "project": project, **more})
    again = resumed_from(config, Path("../home/runs/train"), given=())
    assert data_source(again) == str(place / "data.yaml") and again.data.data == "data.yaml"
    assert again.for_file()["begun_in"] == str(place)


def test_a_run_in_a_project_elsewhere_says_where_its_data_are(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "disk" / "run"
    config = build_config({"data": "data.yaml", "project": str(tmp_path / "disk"), "name": "run", "begun_in": place})
    assert data_source(resumed_from(config, run, given=())) == str(place / "data.yaml")


def test_a_run_that_was_moved_with_its_data_takes_those_beside_it(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place, tmp_path / "moved")
    config = build_config({"data": "data.yaml", "begun_in": place})
    again = resumed_from(config, Path("../moved/runs/train"), given=())
    assert data_source(again) == str(tmp_path / "moved" / "data.yaml")


def test_the_runs_data_go_before_a_namesake_here(place: Path) -> None:
    Path("data.yaml").write_text("{}")
    config = build_config({"data": "data.yaml"})
    assert data_source(resumed_from(config, Path("../home/runs/train"), given=())) == str(place / "data.yaml")
    assert data_source(resumed_from(config, Path("../home/runs/train"), given=("data",))) == "data.yaml"


def test_data_that_moved_here_are_found_here(place: Path) -> None:
    (place / "data.yaml").rename("data.yaml")
    config = build_config({"data": "data.yaml", "begun_in": place})
    assert data_source(resumed_from(config, Path("../home/runs/train"), given=())) == "data.yaml"


def test_data_that_are_gone_are_named_with_their_place_and_the_remedy(place: Path) -> None:
    (place / "data.yaml").unlink()
    config = build_config({"data": "data.yaml"})
    with pytest.raises(InputError) as raised:
        resumed_from(config, Path("../home/runs/train"), given=())
    for words in (
        "--data data.yaml: is relative to where",
        str(place),
        str(Path.cwd()),
        "Give its current place with --data",
    ):
        assert words in str(raised.value)


def write_run(place: Path, **options: str) -> Path:
    path = place / "runs" / "train" / "config.yaml"
    path.write_text(yaml.safe_dump({"data": "data.yaml", "project": "runs", **options}))
    return path


def test_a_config_finds_the_data_of_its_run_and_says_so(place: Path) -> None:
    settings = RunArguments(config=write_run(place)).settings()
    assert settings.data.data == str(place / "data.yaml") and settings.begun_in is None
    assert any(str(place / "data.yaml") in note for note in settings.notes)


def test_a_config_that_was_copied_elsewhere_finds_them_too(place: Path) -> None:
    shutil.move(write_run(place, begun_in=str(place)), "mine.yaml")
    assert RunArguments(config=Path("mine.yaml")).settings().data.data == str(place / "data.yaml")


def test_a_config_is_refused_where_two_data_sets_could_be_meant(place: Path) -> None:
    Path("data.yaml").write_text("{}")
    with pytest.raises(InputError, match="could be") as raised:
        RunArguments(config=write_run(place)).settings()
    assert str(Path.cwd() / "data.yaml") in str(raised.value) and str(place / "data.yaml") in str(raised.value)
    options, notes = from_file({"data": "data.yaml"}, place / "runs" / "train" / "config.yaml", {"data": "data.yaml"})
    assert (options["data"], notes) == ("data.yaml", [])  # the command line says which


def test_a_config_of_ones_own_is_relative_to_where_one_stands(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.yaml").write_text("data: data.yaml\n")
    Path("data.yaml").write_text("{}")
    assert RunArguments(config=Path("mine.yaml")).settings().data.data == "data.yaml"
    monkeypatch.chdir(place)
    assert RunArguments(config=write_run(place)).settings().data.data == "data.yaml"


def test_weights_bring_the_data_of_their_run(place: Path) -> None:
    weights = write_run(place).parent / "best.safetensors"
    assert data_of_run(weights, "data.yaml") == str(place / "data.yaml")
    assert data_of_run(weights, "other.yaml") == "other.yaml"
    Path("data.yaml").write_text("{}")
    assert data_of_run(weights, "data.yaml") == "data.yaml"
    write_run(place).write_text("{")  # damaged
    os.remove("data.yaml")  # noqa: PTH107
    assert data_of_run(weights, "data.yaml") == "data.yaml"


def test_names_of_several_parts_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "runs" / "x" / "y").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "runs" / "x" / "y")
    assert places_of(tmp_path / "a/runs/x/y", {"project": "runs", "name": "x/y"}) == [tmp_path / "a"]
    assert tmp_path / "a" in places_of(tmp_path / "link", {"project": "runs", "name": "x/y"})

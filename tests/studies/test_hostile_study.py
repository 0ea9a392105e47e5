"""Whatever somebody writes into a study's storage ends in one message, or does nothing: no traceback and no hang."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from tests.studies.hostile import (
    DEEP,
    DEFINITION,
    SEARCH,
    begun,
    ends_well,
    opened,
    set_attribute,
    url_of,
    used,
)

from lehr.errors import InputError
from lehr.studies.contents import MAX_SLOTS, DamagedStudy
from lehr.studies.pool import LostTrials
from lehr.studies.worker import WORKERS, alive, worker_name

optuna = pytest.importorskip("optuna")

HUGE = b"1" * 6000
WRONG: list[Any] = [
    "x",
    "",
    None,
    True,
    -1,
    1.5,
    [],
    [1],
    {},
    {"a": 1},
    10**9,
    10**30,
    "x" * 100_000,
    b"NaN",
    b"1e999",
    DEEP,
    HUGE,
]
"""Values of any type; JSON's text where they are bytes."""


@pytest.fixture(scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All is imported that a study needs, which takes seconds on a busy machine."""
    url = url_of("sqlite", tmp_path_factory.mktemp("first"))
    begun(url)
    used(url)


@pytest.fixture(scope="module", params=["sqlite", "journal"])
def made(request: pytest.FixtureRequest, _imported: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has begun."""
    folder = tmp_path_factory.mktemp(request.param)
    begun(url_of(request.param, folder))
    return folder


@pytest.fixture
def url(made: Path, tmp_path: Path) -> str:
    """A copy of that study."""
    [file] = [path for path in made.iterdir() if path.suffix in (".db", ".journal")]
    (tmp_path / file.name).write_bytes(file.read_bytes())
    return url_of("sqlite" if file.suffix == ".db" else "journal", tmp_path)


def test_a_study_that_nobody_has_changed_is_used(url: str) -> None:
    assert ends_well(url) == ""


@pytest.mark.parametrize("key", ["slot", "attempt", "worker", "result", "pulse"])
@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
def test_an_attribute_of_any_type(key: str, value: Any, url: str) -> None:
    set_attribute(url, "trial_user", key, value)
    ends_well(url, must_fail=key == "slot" and value in ("x", "", -1, 1.5, 10**9, 10**30))


FIELDS = ("state", "fitness", "metrics", "seconds", "memory", "folder", "note", "fault")


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value", ["\x1b]0;x\x07", [[[1]]], {"a": {"b": 1}}, 10**400, -1, True, "../../etc", "/etc/passwd"]
)
def test_a_part_of_a_result_of_any_type(name: str, value: Any, url: str) -> None:
    set_attribute(url, "trial_user", "result", {"state": "finished", name: value})
    said = ends_well(url)
    assert said or name == "note" or (name == "fault" and value is True) or (name, value) == ("fitness", -1)


@pytest.mark.parametrize(
    "folder", ["/etc", "../x", "trials/../../x", "trials/0001/..", "trials/0000\n", "~/x", "trials/\x1b[1m", "c:\\x"]
)
def test_a_folder_that_leads_out_of_the_study(folder: str, url: str) -> None:
    set_attribute(url, "trial_user", "result", {"folder": folder})
    assert "folder" in ends_well(url, must_fail=True)


WORKER_NAMES = [
    "host:/abs/path",
    "host:../x",
    "/etc:1",
    "host:",
    "1",
    "a\nb:1",
    "\x1b[2J:1",
    "host:-1",
    "host:" + "1" * 99,
]


@pytest.mark.parametrize("worker", WORKER_NAMES)
def test_a_worker_whose_name_is_a_path(worker: str, url: str, tmp_path: Path) -> None:
    set_attribute(url, "trial_user", "worker", worker)
    assert "worker" in ends_well(url, must_fail=True)
    assert alive(tmp_path, worker) is None


def test_no_lock_outside_of_the_study_is_opened(tmp_path: Path) -> None:
    host = worker_name().rpartition(":")[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".lock").touch()
    study = tmp_path / "study"
    (study / WORKERS).mkdir(parents=True)
    for worker in (f"{host}:{elsewhere}", f"{host}:../../elsewhere", f"{host}:"):
        assert alive(study, worker) is None
    (study / WORKERS / "77").symlink_to(elsewhere)
    assert alive(study, f"{host}:77") is None
    trial = optuna.create_trial(state=optuna.trial.TrialState.RUNNING, user_attrs={"worker": f"{host}:{elsewhere}"})
    assert LostTrials(study, 10).lost([trial], 0.0) == []


@pytest.mark.parametrize("slot", [MAX_SLOTS - 1, 10_000])
def test_a_slot_beyond_the_studys_is_one_trial_more_and_no_list_of_as_many(slot: int, url: str) -> None:
    study = opened(url)
    study.study.enqueue_trial({}, user_attrs={"slot": slot, "attempt": 1})
    assert [record.slot for record in opened(url).records(4)] == [0, 1, 2, 3, slot]


def test_a_slot_of_a_milliard_is_refused_at_once(url: str) -> None:
    set_attribute(url, "trial_user", "slot", 10**9)
    assert "slot" in ends_well(url, must_fail=True, seconds=2)


DEFINITIONS: dict[str, Any] = {
    "text": "x",
    "nothing": None,
    "list": [1, 2],
    "deep": DEEP,
    "an extra key": {**vars_of}
    if (vars_of := {"kind": "evolve", "options": {}, "data": "", "search": {}, "x": 1})
    else {},
    "a key less": {"kind": "evolve", "options": {}, "data": ""},
    "another kind": {"kind": "os.system", "options": {}, "data": "", "search": {}},
    "options as text": {"kind": "evolve", "options": "x", "data": "", "search": {}},
    "options of options": {"kind": "evolve", "options": {"epochs": {"a": [{"b": 1}]}}, "data": "", "search": {}},
    "data as a number": {"kind": "evolve", "options": {}, "data": 5, "search": {}},
    "search as text": {"kind": "evolve", "options": {}, "data": "", "search": "x"},
    "fitness as a list": {"kind": "evolve", "options": {}, "data": "", "search": {"fitness": ["map"]}},
    "space as text": {"kind": "evolve", "options": {}, "data": "", "search": {"space": "x"}},
    "bounds as text": {
        "kind": "evolve",
        "options": {},
        "data": "",
        "search": {"space": {"parameters": {"lr0": {"low": "a", "high": []}}, "start": {}}},
    },
    "techniques as text": {"kind": "evolve", "options": {}, "data": "", "search": {"techniques": "x"}},
    "a side of techniques": {"kind": "evolve", "options": {}, "data": "", "search": {"techniques": {"ema": {"on": 5}}}},
    "other sides": {"kind": "evolve", "options": {}, "data": "", "search": {"techniques": {"ema": {"maybe": {}}}}},
    "escapes": {
        "kind": "evolve",
        "options": {"\x1b[2Jepochs": "\x1b]0;x\x07"},
        "data": "",
        "search": {"\x1b": "\n\nlehr:"},
    },
    "long": {"kind": "evolve", "options": {"x" * 150: ["y" * 9000] * 9}, "data": "", "search": {}},
    "too long": {"kind": "evolve", "options": {"x": ["y"] * 300_000}, "data": "", "search": {}},
    "no number": b'{"kind": "evolve", "options": {"epochs": NaN}, "data": "", "search": {}}',
    "no JSON": b"{",
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_definition_of_any_form(case: str, url: str) -> None:
    set_attribute(url, "study_user", "lehr", DEFINITIONS[case])
    with pytest.raises(InputError) as error:
        used(url)
    said = str(error.value)
    assert "\x1b" not in said and "\n\nlehr" not in said and len(said) < 8000 and "study." in said


def test_code_that_a_storage_names_after_the_study_was_opened_does_not_reach_the_workers(url: str) -> None:
    from lehr.studies.study import join_study

    accepted = opened(url).definition
    assert accepted == DEFINITION
    evil = {**DEFINITION.options, "augmentation": ["os:system=1"], "callback": ["evil:Code"]}
    set_attribute(url, "study_user", "lehr", {"kind": "evolve", "options": evil, "data": "data", "search": SEARCH})
    _, definition = join_study(url, "study", 5, accepted)
    assert definition.options == DEFINITION.options
    with pytest.raises(InputError, match="augmentation"):
        opened(url)


SYSTEM = {
    "fixed_params": [5, "x", [], {"lr0": 1e30}, {"lr0": "x"}, {"evil": 1}, {"lr0": True}, {"box": ""}, DEEP],
    "completed_rung_0": ["x", [], None, DEEP],
    "cma:generation": ["x", -1, 10**30, [], 1.5],
    "EvolutionSampler:generation": ["x", [], -1],
    "tpe:relative_params:0": [5, [], {"a": 1}],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in SYSTEM.items() for value in values], ids=str
)
def test_an_attribute_that_samplers_and_pruners_read(key: str, value: Any, url: str) -> None:
    set_attribute(url, "trial_system", key, value)
    ends_well(url, must_fail=True)


@pytest.mark.parametrize(
    "key", ["constraints", "cma:optimizer:0", "sepcma:optimizer:0", "nsga2:generation", "x" * 500, "lehr"]
)
def test_an_attribute_that_nobody_reads_is_not_looked_at(key: str, url: str) -> None:
    set_attribute(url, "trial_system", key, "80049520" * 100)
    set_attribute(url, "trial_user", key, {"a": [1]})
    assert ends_well(url) == ""
    assert not any(key in trial.system_attrs or key in trial.user_attrs for trial in opened(url).study.get_trials())


@pytest.mark.parametrize("name", ["random", "ga", "tournament", "tpe", "cmaes", "gp"])
def test_every_sampler_and_relative_values_that_are_no_values(name: str, url: str) -> None:
    for number, text in enumerate(('{"lr0": [', "x", '"x"')):
        set_attribute(url, "trial_system", f"tpe:relative_params:{number}", text)
        set_attribute(url, "trial_system", f"gp:relative_params:{number}", text)
    set_attribute(url, "study_system", "EvolutionSampler:parent:1", [10**15])
    set_attribute(url, "study_system", "TournamentSampler:parent:1", [])
    with contextlib.suppress(InputError):
        used(url, name)
    set_attribute(url, "study_system", "EvolutionSampler:parent:1", "x")
    if name == "ga":
        with pytest.raises(DamagedStudy, match="parent"):
            used(url, name)

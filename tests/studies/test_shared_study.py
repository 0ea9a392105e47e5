"""The study that workers share: each trial exactly once, whatever is killed where."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.processes import Forked

from lehr.checkpoint.run_folder import only_writer
from lehr.errors import InputError
from lehr.search.definition import Definition
from lehr.search.fitness import DEFAULT, FORMER_DEFAULT
from lehr.search.optuna_adapter import engine_of, storage_of
from lehr.studies.pool import REFRESH, LostTrials
from lehr.studies.storage import StorageLost, open_storage
from lehr.studies.storage_url import shown, storage_url
from lehr.studies.study import RESULT, SLOT, Result, SharedStudy, join_study, open_study
from lehr.studies.worker import WORKERS, worker_name

optuna = pytest.importorskip("optuna")
event = pytest.importorskip("sqlalchemy").event
DEFINITION = Definition("evolve", {"epochs": 3, "seed": 0}, "data", {"fitness": "map"})


def urls(folder: Path) -> dict[str, str]:
    return {"sqlite": f"sqlite:///{folder / 'study.db'}", "journal": str(folder / "study.log")}


@pytest.fixture(params=["sqlite", "journal"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return urls(tmp_path)[request.param]


def opened(url: str, definition: Definition = DEFINITION) -> SharedStudy:
    return open_study(url, "study", definition, patience=5)


def taken(study: SharedStudy, worker: str = "host:1") -> optuna.Trial | None:
    return study.take(worker, lambda slot: optuna.samplers.RandomSampler(seed=slot), optuna.pruners.NopPruner())


def test_each_slot_gets_one_trial_however_often_slots_are_filled(url: str) -> None:
    study = opened(url)
    for _ in range(3):
        study.fill([{"x": 0.5}, {}, {}])
    assert [trial.user_attrs[SLOT] for trial in study.study.get_trials(deepcopy=False)] == [0, 1, 2]
    study.fill([{}] * 5)
    assert sorted(trial.user_attrs[SLOT] for trial in study.study.get_trials(deepcopy=False)) == [0, 1, 2, 3, 4]


def test_a_study_of_before_an_option_goes_on_with_its_default(url: str) -> None:
    opened(url)
    newer = dataclasses.replace(DEFINITION, options={**DEFINITION.options, "augmentation": []})
    opened(url, newer)
    for options, words in (({"augmentation": ["x"]}, "--augmentation: "), ({"mosaic": 1.0}, "--mosaic: nothing there")):
        with pytest.raises(InputError, match=words):
            opened(url, dataclasses.replace(DEFINITION, options={**DEFINITION.options, **options}))


def test_a_study_of_when_autoanchor_was_a_switch_goes_on(url: str) -> None:
    techniques = {"autoanchor": {"on": {"autoanchor": True}, "off": {"autoanchor": False}}}
    before = Definition("ablate", {"epochs": 3, "autoanchor": True}, "data", {"techniques": techniques})
    opened(url, before)
    now = {"autoanchor": {"on": {"autoanchor": "auto"}, "off": {"autoanchor": "off"}}}
    opened(url, Definition("ablate", {"epochs": 3, "autoanchor": "auto"}, "data", {"techniques": now}))
    with pytest.raises(InputError, match="--autoanchor: auto there, always here"):
        opened(url, Definition("ablate", {"epochs": 3, "autoanchor": "always"}, "data", {"techniques": now}))


def test_a_trial_is_taken_in_order_with_its_fixed_values_and_ends_its_slot(url: str) -> None:
    study = opened(url)
    study.fill([{"x": 0.5}, {}])
    first = taken(study)
    assert first is not None and first.suggest_float("x", 0, 1) == 0.5
    first.report(0.1, 1)
    first.report(0.4, 2)
    assert study.tell(first, Result("finished", 0.4, {"map": 0.4}, 12.0, 900.0, "trials/0000"))
    second = taken(study)
    assert second is not None and 0 <= second.suggest_float("x", 0, 1) <= 1
    records = study.records(2)
    assert [record.state for record in records] == ["finished", "running"]
    done = records[0]
    assert done.fitness == 0.4 and done.course == (0.1, 0.4) and done.params == {"x": 0.5}
    assert (done.seconds, done.memory, done.worker, done.folder, done.attempts) == (12, 900, "host:1", "trials/0000", 1)
    study.fill([{"x": 0.5}, {}])
    assert taken(study) is None


def test_a_lost_trial_is_made_again_with_its_values_and_the_lost_worker_cannot_end_it(url: str) -> None:
    study = opened(url)
    study.fill([{}])
    lost = taken(study)
    assert lost is not None
    value = lost.suggest_float("x", 0, 1)
    assert study.take_back(study.running(), "killed") == 1 and study.take_back(study.running(), "killed") == 0
    study.fill([{}])
    other_sampler = optuna.samplers.RandomSampler(seed=99)  # which would draw another value
    again = study.take("host:2", lambda slot: other_sampler, optuna.pruners.NopPruner())
    assert again is not None and again.number != lost.number and again.suggest_float("x", 0, 1) == value
    assert not study.tell(lost, Result("finished", 0.9))
    assert study.tell(again, Result("finished", 0.3))
    [record] = study.records(1)
    assert (record.fitness, record.worker, record.attempts) == (0.3, "host:2", 2)


def test_of_two_trials_of_one_slot_the_later_gives_way(url: str) -> None:
    study = opened(url)
    study.study.enqueue_trial({}, user_attrs={SLOT: 0, "attempt": 1})  # two workers filled at once
    study.study.enqueue_trial({}, user_attrs={SLOT: 0, "attempt": 1})
    first = taken(study)
    assert first is not None and taken(study) is None
    study.tell(first, Result("finished", 0.5))
    assert taken(study) is None
    first, second = study.study.get_trials(deepcopy=False)
    assert (first.state.name, second.state.name) == ("COMPLETE", "FAIL")
    assert second.user_attrs[RESULT] == {"note": "doubled"}
    assert [record.state for record in study.records(1)] == ["finished"]


def test_a_trial_that_another_worker_has_taken_meanwhile_is_left_to_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, late = opened(url), opened(url)
    study.fill([{}])
    trials = late._trials
    seen = trials(optuna.trial.TrialState.WAITING)  # both workers saw it waiting
    assert len(seen) == 1 and taken(study) is not None
    monkeypatch.setattr(late, "_trials", lambda *states: seen if states else trials())
    assert taken(late, "host:2") is None
    [record] = study.records(1)
    assert (record.state, record.worker) == ("running", "host:1")


def test_pruned_diverged_and_failed_trials_end_their_slots_and_faults_are_counted(url: str) -> None:
    study = opened(url)
    study.fill([{}] * 3)
    results = [Result("pruned", note="after 1"), Result("diverged", 0.0), Result("failed", note="no room", fault=True)]
    for number, result in enumerate(results):
        trial = taken(study)
        assert trial is not None
        trial.report(0.1 * number, 1)
        assert study.tell(trial, result)
    study.fill([{}] * 3)
    assert taken(study) is None
    records = study.records(3)
    assert [record.state for record in records] == ["pruned", "diverged", "failed"]
    assert [record.fitness for record in records[:2]] == [0.0, 0.0] and all(record.ended for record in records)
    assert [study.faults(slot) for slot in range(3)] == [0, 0, 1]


def take_all(url: str) -> None:
    study, _ = join_study(url, "study", 60)
    while trial := taken(study):
        sys.stdout.write(f"{trial.user_attrs[SLOT]}\n")
        study.tell(trial, Result("finished", 0.5))


def test_four_processes_take_every_trial_once(url: str, tmp_path: Path) -> None:
    study = opened(url)
    study.fill([{}] * 24)
    files = [tmp_path / f"slots{process}" for process in range(4)]
    processes = [Forked(take_all, url, out=file) for file in files]
    assert [process.wait(120) for process in processes] == [0] * 4
    slots = [int(line) for file in files for line in file.read_text().split()]
    assert Counter(slots) == Counter(range(24))


def test_a_study_about_something_else_is_not_joined_and_not_changed(url: str) -> None:
    study = opened(url)
    study.fill([{}])
    other = Definition("evolve", {"epochs": 5, "seed": 0}, "other", {"fitness": "map50"})
    with pytest.raises(InputError) as error:
        opened(url, other)
    assert "--epochs: 3 there, 5 here" in str(error.value) and "fitness: map there, map50 here" in str(error.value)
    assert "other images or labels" in str(error.value) and "--name" in str(error.value)
    with pytest.raises(InputError, match="lehr evolve"):
        opened(url, Definition("ablate", {}, "data", {}))
    assert len(opened(url).study.get_trials(deepcopy=False)) == 1


def test_a_study_begun_with_the_former_default_fitness_keeps_it(url: str) -> None:
    former, now = (dataclasses.replace(DEFINITION, search={"fitness": text}) for text in (FORMER_DEFAULT, DEFAULT))
    assert opened(url, former).fitness == FORMER_DEFAULT
    assert opened(url, now).fitness == FORMER_DEFAULT
    with pytest.raises(InputError, match=r"fitness: 0\.1\*map50\+0\.9\*map there, map here"):
        opened(url, dataclasses.replace(DEFINITION, search={"fitness": "map"}))


def test_a_study_of_somebody_elses_is_refused_and_an_empty_one_is_taken_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.studies.study.ADOPTION", 0.2)
    storage = open_storage(url, 1)
    optuna.create_study(study_name="study", storage=storage)
    assert opened(url).study.user_attrs["lehr"]["kind"] == "evolve"  # whoever made it was killed on the way
    other = optuna.create_study(study_name="other", storage=storage)
    other.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(InputError, match="not made by Lehr"):
        open_study(url, "other", DEFINITION, 5)


def break_down(study: SharedStudy, seconds: float) -> float:
    """Has every request to a study's database fail for a while; the time when that ends."""
    end = time.monotonic() + seconds

    def down(connection: object) -> None:
        if time.monotonic() < end:
            raise optuna.exceptions.StorageInternalError("the server is away")

    event.listen(engine_of(storage_of(study.study)), "begin", down, insert=True)
    return end


def test_a_database_that_is_away_for_a_while_is_waited_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = opened(urls(tmp_path)["sqlite"])
    end = break_down(study, 1.0)
    study.fill([{}])
    assert time.monotonic() > end and len(study.study.get_trials(deepcopy=False)) == 1
    assert "the server is away" in capfd.readouterr().err


@pytest.mark.parametrize("refusal", ["IntegrityError", "ProgrammingError", "OperationalError"])
def test_tables_that_another_command_makes_at_the_same_time_are_used(
    refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, made = urls(tmp_path)["sqlite"], []
    table = optuna.storages._rdb.models.BaseModel.metadata.create_all.__func__
    error = getattr(pytest.importorskip("sqlalchemy").exc, refusal)

    def also_made(metadata: Any, engine: Any, **named: Any) -> None:
        table(metadata, engine, **named)
        made.append(engine)
        if len(made) == 1:
            raise error("CREATE TABLE", None, Exception("relation studies already exists"))

    monkeypatch.setattr(type(optuna.storages._rdb.models.BaseModel.metadata), "create_all", also_made)
    opened(url).fill([{}])
    assert len(made) == 2


def test_a_database_that_stays_away_ends_the_work_with_a_message(tmp_path: Path) -> None:
    study = open_study(urls(tmp_path)["sqlite"], "study", DEFINITION, patience=0.5)
    break_down(study, 60)
    with pytest.raises(StorageLost, match=r"server is away.*same command continues"):
        study.fill([{}])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mongodb://host/x", "'mongodb' is not a storage"),
        ("study.txt", "not a storage for studies"),
        ("sqlite:///:memory:", "does not name a file"),
        ("sqlite:////no/such/folder/study.db", "there is no folder"),
        ("postgresql://user:secret@localhost:1/none", "cannot be used"),
        ("mysql://user:secret@localhost:1/none", "cannot be used"),
        ("postgresql+nodriver://user:secret@localhost/none", "not installed"),
        ("/no/such/folder/study.journal", "cannot be used"),
        ("~nosuchuser/study.db", "there is no folder"),
        ("~nosuchuser/study.log", "cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_in_one_message_without_its_password(
    given: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        open_storage(storage_url(given, tmp_path), 60)
    assert said in str(error.value) and "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_study_is_told(tmp_path: Path) -> None:
    for name in ("a.db", "a.log"):
        (tmp_path / name).write_text("not a study\n" * 100)
        with pytest.raises(InputError, match=name):
            open_storage(storage_url(str(tmp_path / name), tmp_path), 1)


def test_the_storage_is_a_file_of_the_study_unless_given(tmp_path: Path) -> None:
    assert storage_url(None, tmp_path) == f"sqlite:///{tmp_path / 'study.db'}"
    assert storage_url("x.db", tmp_path) == f"sqlite:///{Path('x.db').absolute()}"
    assert storage_url("x.journal", tmp_path) == str(Path("x.journal").absolute())
    assert shown("postgresql://a:b@c/d") == "postgresql://a:***@c/d"


def running(number: int, pulse: int, worker: str | None = None) -> optuna.trial.FrozenTrial:
    trial = optuna.create_trial(
        state=optuna.trial.TrialState.RUNNING, user_attrs={"pulse": pulse} | ({"worker": worker} if worker else {})
    )
    trial.number = number
    return trial


def test_a_worker_is_lost_when_it_gives_no_sign_of_life_for_as_long_as_the_study_could_be_looked_at(
    tmp_path: Path,
) -> None:
    watch = LostTrials(tmp_path, grace=10)
    for second in range(10):
        assert watch.lost([running(0, pulse=second), running(1, pulse=0)], float(second)) == []
    silent = [trial.number for trial in watch.lost([running(0, pulse=99), running(1, pulse=0)], 10.5)]
    assert silent == [1]


def test_nobody_is_lost_because_the_storage_was_away(tmp_path: Path) -> None:
    watch = LostTrials(tmp_path, grace=10)
    watch.lost([running(0, pulse=0)], 0.0)
    assert watch.lost([running(0, pulse=0)], 1000.0) == []
    later = 1000.0
    while not watch.lost([running(0, pulse=0)], later):
        later += REFRESH
    assert 1000 + 10 - 2 * REFRESH <= later <= 1000 + 10 + REFRESH


def test_a_worker_of_this_machine_is_lost_as_soon_as_its_lock_is(tmp_path: Path) -> None:
    place = tmp_path / WORKERS / str(os.getpid())
    place.mkdir(parents=True)
    watch, mine = LostTrials(tmp_path, grace=1000), running(0, 0, worker_name())
    with only_writer(place):
        assert watch.lost([mine], 0.0) == []
    assert watch.lost([mine], 0.1) == [mine]
    elsewhere = running(1, 0, f"other-machine:{os.getpid()}")
    assert watch.lost([elsewhere], 0.2) == []

"""Optuna's private things: each by name, so that a version without one fails here; and one file that uses them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseGASampler
from optuna.storages import BaseStorage, RDBStorage, _CachedStorage
from optuna.trial import TrialState

import lehr
from lehr.search import optuna_adapter
from lehr.search.optuna_adapter import (
    CACHE_REQUESTS,
    database_requests,
    drop_session,
    engine_of,
    enqueued_values,
    keep_generation,
    kept_generation,
    move_trial,
    open_trial,
    set_attribute,
    storage_of,
    trials_at_start,
)

USED = {
    "_backend": lambda study: study._storage,
    "_create_new_trial": lambda study: RDBStorage,
    "_get_best_trial_id": lambda study: RDBStorage,
    "_get_generation_key": lambda study: BaseGASampler,
    "_get_trials": lambda study: study,
    "_set_trial_param": lambda study: RDBStorage,
    "_storage": lambda study: study,
    "_trial_id": lambda study: study.ask(),
    "engine": lambda study: study._storage._backend,
    "scoped_session": lambda study: study._storage._backend,
}
"""Undocumented names that the adapter uses, and what has each."""
SINCE = {"_get_best_trial_id": (4, 6), "_set_trial_param": (4, 7)}
"""Those that the oldest Optuna allowed does not have."""
VERSION = tuple(int(part) for part in optuna.__version__.split(".")[:2])
HEARTBEATS = re.compile("heartbeat|stale|failed_trial")
"""Requests that Lehr has no use for: it looks after its workers itself."""


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}", direction="maximize")


@pytest.mark.parametrize("name", USED)
def test_each_private_name_that_is_used_is_there(name: str, study: optuna.Study) -> None:
    if SINCE.get(name, (0, 0)) <= VERSION:
        assert hasattr(USED[name](study), name)


def test_the_names_listed_here_are_those_that_the_adapter_uses() -> None:
    tree = ast.parse(inspect.getsource(optuna_adapter))
    private = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
    assert private | {"_backend", "engine", "scoped_session", *CACHE_REQUESTS} == USED.keys()


def private_uses(path: Path) -> list[str]:
    """Private attributes of something other than the object itself, in a file."""
    return [
        f"{path.name}:{node.lineno}: .{node.attr}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr)
        if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]


def test_nothing_else_touches_what_is_private_to_optuna() -> None:
    files = [
        path
        for path in Path(lehr.__file__).parent.rglob("*.py")
        if "optuna" in path.read_text(encoding="utf-8") and path.name != "optuna_adapter.py"
    ]
    assert len(files) > 8
    found = [use for path in files for use in private_uses(path)]
    assert not [use for use in found if "_inductor" not in use]


def test_whatever_optunas_cache_asks_of_a_database_is_asked_again_when_it_fails(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    asked = set(re.findall(r"_backend\.(\w+)\(", inspect.getsource(_CachedStorage)))
    assert {"_create_new_trial", "_get_trials", "set_trial_state_values"} <= asked
    requests = set(database_requests(storage))
    assert {name for name in asked if not HEARTBEATS.search(name)} - requests == set() <= requests
    assert BaseStorage.__abstractmethods__ - requests == set()


def test_a_trial_is_taken_by_one_and_ended_by_one(study: optuna.Study) -> None:
    study.enqueue_trial({"x": 0.5})
    (waiting,) = study.get_trials(deepcopy=False)
    assert enqueued_values(waiting) == {"x": 0.5}
    assert [move_trial(study, waiting, TrialState.RUNNING) for _ in range(2)] == [True, False]
    trial = open_trial(study, waiting)
    assert trial.suggest_float("x", 0, 1) == 0.5
    set_attribute(study, waiting, "worker", "host:1")
    assert study.get_trials(deepcopy=False)[0].user_attrs == {"worker": "host:1"}
    assert [move_trial(study, waiting, TrialState.FAIL) for _ in range(2)] == [True, False]
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        set_attribute(study, waiting, "worker", "host:2")


class Onlooker(optuna.samplers.RandomSampler):
    """Lets another worker finish a trial between two looks at the study."""

    def __init__(self, between: Callable[[], Any]) -> None:
        super().__init__(seed=0)
        self.between = between
        self.looks: list[int] = []

    def infer_relative_search_space(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        self.looks.append(len(trials_at_start(study, (TrialState.COMPLETE,))))
        self.between()
        self.looks.append(len(trials_at_start(study, (TrialState.COMPLETE,))))
        return {}


def test_a_sampler_sees_the_study_as_it_was_when_its_trial_began(study: optuna.Study) -> None:
    other = optuna.load_study(study_name=study.study_name, storage=storage_of(study))
    sampler = Onlooker(lambda: other.tell(other.ask(), 1.0))
    study.sampler = sampler
    for _ in range(2):
        study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    assert sampler.looks == [0, 0, 1, 1]


def test_optuna_finds_the_generation_that_was_kept(study: optuna.Study) -> None:
    sampler = optuna.samplers.NSGAIISampler(seed=0)
    study.ask()
    trial = study.get_trials(deepcopy=False)[0]
    assert kept_generation(sampler, trial) is None
    keep_generation(sampler, study, trial, 3)
    trial = study.get_trials(deepcopy=False)[0]
    assert kept_generation(sampler, trial) == 3 and sampler.get_trial_generation(study, trial) == 3


def test_after_a_dropped_session_the_database_answers(study: optuna.Study) -> None:
    storage = storage_of(study)
    bare = RDBStorage(str(engine_of(storage).url))
    drop_session(bare)
    assert engine_of(bare).url == engine_of(storage).url and len(bare.get_all_studies()) == 1
    bare.scoped_session.remove = lambda: 1 / 0
    drop_session(bare)
    assert not bare.scoped_session.registry.has()

"""Studies as somebody who can write their storage may change them: SQLite files and journals."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from lehr.errors import InputError
from lehr.search.definition import Definition
from lehr.search.space import Parameter, Space
from lehr.studies.study import Result, SharedStudy, drawing, open_study

PATIENCE = 5.0
"""Seconds that a study is waited for."""
DEEP = b"[" * 100_000 + b"]" * 100_000
SPACE = Space({"lr0": Parameter(1e-4, 0.1, log=True), "box": Parameter(0.0, 10.0)}, {"lr0": 0.01, "box": 7.5})
SEARCH = {"fitness": "map", "sampler": "random", "pruner": "none", "prune_after": None, "space": SPACE.as_plain()}
DEFINITION = Definition("evolve", {"epochs": 3, "seed": 0}, "data", SEARCH)


def url_of(kind: str, folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}" if kind == "sqlite" else str(folder / "study.journal")


def opened(url: str, definition: Definition = DEFINITION) -> SharedStudy:
    return open_study(url, "study", definition, patience=PATIENCE)


def sampler(slot: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=slot)


def begun(url: str) -> SharedStudy:
    """A study of four trials: one finished, one running, two waiting."""
    study = opened(url)
    study.fill([SPACE.start, {}, {}, {}])
    for number in range(2):
        trial = study.take("host:1", sampler, optuna.pruners.NopPruner())
        assert trial is not None
        SPACE.suggest(trial)
        trial.report(0.25, 1)
        if number == 0:
            study.tell(trial, Result("finished", 0.25, {"map": 0.25}, 9.0, 800.0, "trials/0000"))
    return study


def used(url: str, name: str = "cmaes") -> None:
    """All that a command and its workers do with a study."""
    from lehr.search.importance import importances
    from lehr.search.samplers import make_sampler

    study = opened(url, replace(DEFINITION, search={**SEARCH, "sampler": "random"}))
    study.fill([SPACE.start, {}, {}, {}])
    study.running()
    study.records(4)
    study.faults(0)
    importances(study.study)
    trial = study.take("host:2", lambda slot: make_sampler(name, SPACE, 0, slot), optuna.pruners.NopPruner())
    if trial is not None:
        with drawing(trial.user_attrs["slot"]):
            SPACE.suggest(trial)
        study.beat(trial, 1)
        study.tell(trial, Result(None, note="stopped"))


def set_attribute(url: str, table: str, key: str, value: Any, trials: int = 4) -> None:
    """Write an attribute, of a study or of all trials, past Optuna; `value` is JSON's text where it is bytes."""
    text = value.decode() if isinstance(value, bytes) else json.dumps(value)
    of, kind = table.split("_", 1)
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.partition("///")[2])
        name = f"{of}_{kind}_attributes"
        for (number,) in file.execute(
            "SELECT study_id FROM studies" if of == "study" else "SELECT trial_id FROM trials"
        ).fetchall():
            file.execute(f"DELETE FROM {name} WHERE {of}_id = ? AND key = ?", (number, key))
            file.execute(f"INSERT INTO {name} ({of}_id, key, value_json) VALUES (?, ?, ?)", (number, key, text))
        file.commit()
        file.close()
        return
    numbers = [0] if of == "study" else range(trials)
    op = {"study_user": 2, "study_system": 3, "trial_user": 8, "trial_system": 9}[table]
    for number in numbers:
        line = f'{{"op_code":{op},"worker_id":"x","{of}_id":{number},"{kind}_attr":{{{json.dumps(key)}:{text}}}}}\n'
        with Path(url).open("a") as journal:
            journal.write(line)


def in_sqlite(*statements: str) -> Callable[[Path], None]:
    """Statements that change a file."""

    def change(folder: Path) -> None:
        file = sqlite3.connect(folder / "study.db")
        for each in statements:
            file.execute(each)
        file.commit()
        file.close()

    return change


def ends_well(url: str, must_fail: bool = False, seconds: float = 5.0) -> str:
    """Use a study, which ends in a message of one line or does nothing unusual."""
    began, said = time.monotonic(), ""
    try:
        used(url)
    except InputError as error:
        said = str(error)
        assert "\n" not in said and "\x1b" not in said and len(said) < 1000
        assert error.exit_code == 2 and Path(url.removeprefix("sqlite:///")).name in said
    assert time.monotonic() - began < seconds
    assert said or not must_fail
    return said

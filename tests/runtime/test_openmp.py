"""Threads that wait sleep at once, unless the user has chosen; chosen before torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lehr.runtime.openmp import CHOICES, SPIN_COUNT, tune_openmp

COMMANDS = "lehr.cli.train", "lehr.cli.val", "lehr.cli.predict", "lehr.engine.worker", "lehr.studies.trial_process"
"""Modules that tune their process when they begin."""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOICES:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


def test_threads_that_wait_sleep_at_once() -> None:
    tune_openmp()
    assert os.environ[SPIN_COUNT] == "0"


@pytest.mark.parametrize(("name", "value"), [(SPIN_COUNT, "5000"), ("OMP_WAIT_POLICY", "active")])
def test_what_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    tune_openmp()
    assert {each: os.environ.get(each) for each in CHOICES} == dict.fromkeys(CHOICES) | {name: value}


def test_torch_is_not_there_yet_when_commands_choose() -> None:
    code = f"import sys, {', '.join(COMMANDS)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

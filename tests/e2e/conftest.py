"""What the tests of studies share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Once


@pytest.fixture(scope="session")
def study_data(once: Once) -> Path:
    """A bright square an image, its class by its size."""
    from tests.e2e.studies import make_data

    return once("study-data", make_data) / "data.yaml"


@pytest.fixture(params=["made-up", pytest.param("trained", marks=pytest.mark.slow)])
def trains(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether trials train; they are made up otherwise, in the processes that a test starts and its own."""
    from tests.e2e.studies import ROOT, STUB

    if request.param == "made-up":
        monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
        monkeypatch.setenv("STUDY_TRIALS", STUB)
        monkeypatch.setattr("lehr.studies.runner.TRIAL_MODULE", STUB)
    return bool(request.param == "trained")

"""The look-up of known faults in packages: what it says of a report, and of none."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def audit() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "audit.py"
    spec = importlib.util.spec_from_file_location("audit", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_faults_are_listed_with_their_remedy(audit: ModuleType) -> None:
    fault = {"id": "CVE-1", "fix_versions": ["2.1"]}
    packages = [{"name": "a", "version": "2.0", "vulns": [fault]}, {"name": "b", "version": "1", "vulns": []}]
    assert audit.known_faults(json.dumps({"dependencies": packages})) == ["a 2.0: CVE-1; mended in 2.1"]
    assert audit.known_faults('{"dependencies": []}') == []


@pytest.mark.parametrize("report", ["", "ConnectionError", "[]", "{}"])
def test_without_a_list_there_is_no_report(report: str, audit: ModuleType) -> None:
    assert audit.known_faults(report) is None


def test_where_it_is_not_installed_the_check_goes_on(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert audit.main() == 0
    assert "not installed" in capsys.readouterr().out

"""Packages are compared with what Lehr requires, and required ones are loaded."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType

import pytest

from lehr.doctor import packages
from lehr.doctor.packages import (
    Package,
    Requirement,
    examine_packages,
    installed_opencv,
    is_older,
    parse_requirement,
    unusable,
)


def pretend(monkeypatch: pytest.MonkeyPatch, requires: list[str], installed: dict[str, str]) -> None:
    """Has Lehr require, and the environment hold, these packages."""

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "requires", lambda _: requires)
    monkeypatch.setattr(metadata, "version", version)


def test_requirements_are_read_as_metadata_write_them() -> None:
    assert parse_requirement("torch>=2.11") == Requirement("torch", "2.11", None)
    assert parse_requirement("opencv-python-headless>=4.9,<6") == Requirement("opencv-python-headless", "4.9", None)
    assert parse_requirement("matplotlib>=3.8; extra == 'plots'") == Requirement("matplotlib", "3.8", "plots")
    assert parse_requirement('types-PyYAML; extra == "dev"') == Requirement("types-PyYAML", "", "dev")
    assert parse_requirement('lehr[plots,supervision]; extra == "dev"') is None


@pytest.mark.parametrize(
    ("version", "min_version", "older"),
    [
        ("2.9", "2.11", True),
        ("2.11", "2.9", False),
        ("2.15.0+cu132", "2.15", False),
        ("2.11.0a0+git123", "2.11", False),
        ("5", "5.0", False),
        ("0.7.0", "0.7.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, min_version: str, older: bool) -> None:
    assert is_older(version, min_version) is older


def test_here_everything_that_is_required_loads() -> None:
    found = {each.name: each for each in examine_packages()}
    assert {"torch", "torchvision", "numpy", "pydantic", "hotcoco", "matplotlib"} <= set(found)
    assert unusable(found.values()) == [] and "pytest" not in found
    assert found["matplotlib"].extra == "plots" and found["torch"].extra is None


def test_missing_old_and_broken_packages_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["nowhere>=1", "pyyaml>=9", "defusedxml", "matplotlib>=3; extra == 'plots'"]
    pretend(monkeypatch, requires, {"pyyaml": "6.0", "defusedxml": "0.7"})
    true = importlib.import_module

    def load(name: str) -> ModuleType:
        if name == "defusedxml":
            raise ImportError("libGL.so.1: cannot open shared object file\nmore")
        return true(name)

    monkeypatch.setattr(importlib, "import_module", load)
    found = examine_packages()
    assert found == (
        Package("nowhere", None, "1", None, "missing"),
        Package("pyyaml", "6.0", "9", None, "too old"),
        Package("defusedxml", "0.7", "", None, "broken", "ImportError: libGL.so.1: cannot open shared object file"),
        Package("matplotlib", None, "3", "plots", "missing"),
    )
    assert [each.name for each in unusable(found)] == ["nowhere", "defusedxml"]


def test_any_opencv_will_do_and_two_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ["opencv-python-headless>=4.9"], {"opencv-python": "4.10", "opencv-contrib-python": "4.11"})
    (found,) = examine_packages()
    assert found.state == "ok" and found.version == "4.10"
    assert installed_opencv() == ("opencv-python", "opencv-contrib-python")


def test_a_package_without_metadata_tells_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    pretend(monkeypatch, ["pyyaml>=6"], {})
    (found,) = examine_packages()
    assert found == Package("pyyaml", yaml.__version__, "6", None, "ok")


def test_without_an_installed_lehr_nothing_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", requires)
    assert examine_packages() == ()

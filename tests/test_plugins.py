"""Parts that other packages add are found by name, when they are asked for and not before."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lehr.errors import InputError
from lehr.plugins import PluginTable, resolve


@dataclass(frozen=True)
class Part:
    name: str
    value: int = 0


def packaged(folder: Path, points: str, code: str = "") -> None:
    """A package in a folder, as installing it leaves it."""
    (folder / "some_parts.py").write_text(f"from tests.test_plugins import Part\n{code}")
    info = folder / "some_parts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[lehr.tests]\n{points}\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_parts", raising=False)
    return tmp_path


def test_a_package_is_loaded_only_for_a_name_that_is_not_there(here: Path) -> None:
    packaged(here, "one = some_parts:ONE\ntwo = some_parts:TWO", "ONE = Part('one')\nTWO = Part('two', 2)\n")
    table = PluginTable("lehr.tests", Part, [Part("own")])
    assert table.find("own") == Part("own") and "some_parts" not in sys.modules
    found = table.find("two")
    assert found is not None and found.value == 2
    assert [part.name for part in table.all()] == ["own", "one", "two"]
    assert table.find("three") is None


@pytest.mark.parametrize(
    ("points", "code", "words"),
    [
        ("one = some_parts:ONE", "", ["one = some_parts:ONE", "some-parts", "AttributeError", "uninstall"]),
        ("one = some_parts:ONE", "raise RuntimeError('no licence')", ["RuntimeError: no licence"]),
        ("one = no_such_module:ONE", "", ["no_such_module", "some-parts"]),
        ("one = some_parts:ONE", "ONE = 'text'", ["'text' is not a Part"]),
        ("one = some_parts:ONE", "ONE = Part('own', 7)", ["another Part named 'own'"]),
    ],
)
def test_a_package_that_cannot_be_used_is_named(here: Path, points: str, code: str, words: list[str]) -> None:
    packaged(here, points, code)
    table = PluginTable("lehr.tests", Part, [Part("own")])
    assert table.find("own") is not None
    for _ in range(2):  # and again, instead of a part that is missing without a word
        with pytest.raises(InputError) as caught:
            table.find("other")
        assert all(word in str(caught.value) for word in words)


def test_a_name_is_given_once() -> None:
    table = PluginTable("none", Part)
    table.add(Part("a", 1))
    table.add(Part("a", 1))
    with pytest.raises(ValueError, match="another Part named 'a'"):
        table.add(Part("a", 2))
    assert table.known() == (Part("a", 1),)


def test_references_name_an_object_of_a_module() -> None:
    assert resolve("pathlib:Path") is Path and resolve(Path) is Path
    with pytest.raises(AttributeError):
        resolve("pathlib:Nothing")


def test_help_looks_for_no_packages() -> None:
    code = (
        "import sys\nfrom lehr.cli.app import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "from lehr.models.family import FAMILIES\nassert not FAMILIES._loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

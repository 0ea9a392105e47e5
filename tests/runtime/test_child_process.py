"""Processes that Lehr starts import nothing from their working folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lehr.runtime.child_process import module_command, safe_environment, start_module

SOURCE = Path(__file__).parents[2] / "src" / "lehr"
STARTS_PYTHON = re.compile(
    r"sys\.executable|\bos\.(exec|spawn|posix_spawn|system|popen)|subprocess\.(Popen|run|call|check_\w+)\("
    r"|get_context\(|set_start_method\(|\bmultiprocessing\.Process\("
)


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module of a name that everybody imports."""
    (tmp_path / "yaml.py").write_text("print('planted')\n")
    (tmp_path / "shows.py").write_text("print('planted')\n")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "shows.py").write_text("import yaml, sys\nprint(sys.argv[1:])\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["{0}/modules", ":{0}/modules", "{0}/modules:", "{0}/modules::"])
def test_a_module_is_not_looked_for_in_the_working_folder(
    path: str, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty part of PYTHONPATH means that folder, too."""
    monkeypatch.setenv("PYTHONPATH", path.format(hostile))
    started = start_module("shows", "a", "b", stdout=subprocess.PIPE, text=True)
    assert started.communicate(timeout=60)[0] == "['a', 'b']\n" and started.returncode == 0
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import yaml; print(yaml.__name__)'])"
    with safe_environment():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "yaml\n", done.stderr


def test_modules_of_the_one_who_starts_it_are_found_last(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those beside a script that calls Lehr; an empty part is the working folder, which may be anybody's."""
    (hostile / "modules" / "yaml.py").write_text("print('planted')\n")
    (hostile / "modules" / "mine.py").write_text("import yaml\nprint('found')\n")
    monkeypatch.setattr(sys, "path", ["", str(hostile / "modules"), *sys.path])
    code = "from lehr.runtime.child_process import find_own_modules as find; find(); import mine, sys; print(sys.path)"
    with safe_environment():
        monkeypatch.setenv("PYTHONPATH", str(SOURCE.parent))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    found, path = done.stdout.splitlines()
    assert found == "found" and "''" not in path and f"'{hostile}'" not in path


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (None, ":a:"):
        monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        monkeypatch.delenv("PYTHONPATH", raising=False) if path is None else monkeypatch.setenv("PYTHONPATH", path)
        before = dict(os.environ)
        with safe_environment():
            assert os.environ["PYTHONSAFEPATH"] == "1" and os.environ.get("PYTHONPATH") == (
                None if path is None else "a"
            )
        assert dict(os.environ) == before


def test_lehr_as_a_module_does_not_look_there_either(hostile: Path) -> None:
    """Only what Python itself imports before it knows which module to run is beyond reach."""
    for name in ("typing", "__future__", "dataclasses", "cyclopts"):
        (hostile / f"{name}.py").write_text("print('planted')\n")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    for command in (["-m", "lehr"], ["-mlehr"], ["-W", "default", "-m", "lehr"]):
        done = subprocess.run(
            [sys.executable, *command, "--version"], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.startswith("lehr ") and done.returncode == 0, done.stderr


def test_a_module_of_ones_own_that_uses_lehr_still_finds_its_neighbours(hostile: Path) -> None:
    own = hostile / "own"
    own.mkdir()
    (own / "__init__.py").write_text("import lehr\n")
    (own / "train.py").write_text("import neighbour\n")
    (hostile / "neighbour.py").write_text("print('found')\n")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-m", "own.train"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "found\n", done.stderr


def test_nothing_else_starts_python() -> None:
    """But `nvidia-smi`, which is not Python, and loading processes, which are forked where that can be."""
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if STARTS_PYTHON.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"runtime/child_process.py", "doctor/build.py", "data/worker_pool.py"}
    assert module_command("a", "b") == [sys.executable, "-P", "-m", "a", "b"]

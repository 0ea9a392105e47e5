"""The fuzzer of foreign files in short, and that it sees what it is to see."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.fuzz.foreign_files import Ran
from benchmarks.fuzz.guard import Guard
from tests.processes import Forked

ROOT = Path(__file__).parents[2]


def fuzz(*options: str) -> None:
    """The program, as a process's work."""
    from benchmarks import fuzz_files

    sys.argv = ["fuzz_files", *options]
    sys.exit(fuzz_files.main())


def test_a_few_mutants_are_read_or_refused(tmp_path: Path) -> None:
    done = Forked(fuzz, "--count", "30", "--seed", "7", out=tmp_path / "out", cwd=ROOT)
    assert done.wait() == 0, done.out
    assert "| together | 30 |" in done.out


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard()


def test_the_guard_sees_what_reading_must_not_do(guard: Guard, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "victim")
    with guard.watching(root) as seen:
        (root / "inside").write_text("x")
        (root / "inside").read_text()
    assert seen == []
    with guard.watching(root) as seen:
        (tmp_path / "outside").write_text("x")
    assert "outside" in seen[0]
    with guard.watching(root) as seen:
        (root / "link").write_text("x")
    assert len(seen) == 1
    with guard.watching(root) as seen:
        pickle.loads(pickle.dumps(Ran(str(tmp_path / "ran"))))
    assert (tmp_path / "ran").is_dir() and any("pickle" in each for each in seen)
    with guard.watching(root) as seen:
        subprocess.run([sys.executable, "-c", ""], check=True)
    assert any("subprocess" in each for each in seen)
    with guard.watching(root) as seen, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
    assert any("socket.bind" in each for each in seen)
    (root / "planted_module.py").write_text("planted = True\n")
    sys.path.insert(0, str(root))
    try:
        with guard.watching(root) as seen:
            import planted_module  # type: ignore[import-not-found]  # noqa: F401
    finally:
        sys.path.remove(str(root))
        del sys.modules["planted_module"]
    assert any("code of" in each or "import" in each for each in seen)

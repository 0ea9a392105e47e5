"""The list of deliberate faults fits the tree, and the program that tries them tells their outcomes apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.faults import Fault, Verdict

from benchmarks import faults

ROOT = Path(__file__).parents[2]


def test_every_fault_is_found_once_and_its_tests_are_there() -> None:
    assert faults.problems(faults.read_faults(), ROOT) == []


def test_every_room_has_faults() -> None:
    sources, lehr = faults.read_sources(ROOT), ROOT / "src" / "lehr"
    places = [faults.place_of(fault, sources) for fault in faults.read_faults()]
    tried = {faults.room_of(place, ROOT) for place in places if isinstance(place, Path)}
    assert {path.name for path in lehr.iterdir() if path.is_dir() and path.name[0] != "_"} <= tried
    assert len(places) >= 70


def tree(folder: Path) -> Path:
    """A package of one module with one test."""
    for name, text in {
        "src/lehr/__init__.py": "",
        "src/lehr/doubling.py": "def double(x):\n    return x * 2\n\n\ndef triple(x):\n    return x * 3\n",
        "tests/test_doubling.py": "from lehr.doubling import double\n\n\ndef test_two():\n    assert double(2) == 4\n",
        "tests/test_broken.py": "def test_broken():\n    assert False\n",
        "pyproject.toml": "[tool.pytest.ini_options]\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_what_rots_is_named(tmp_path: Path) -> None:
    listed = [
        Fault("twice", "def ", "def _", ("tests/test_doubling.py",)),
        Fault("gone", "x ** 2", "x", ("tests/test_doubling.py::test_three", "tests/test_none.py")),
        Fault("nothing", "x * 2", "x * 2", ("tests/test_doubling.py::test_two[a]",)),
        Fault("nothing", "x * 3", "x", ("tests",)),
    ]
    assert faults.problems(listed, tree(tmp_path)) == [
        "twice: its text is found 2 times",
        "gone: its text is found 0 times",
        "gone: no such test: tests/test_doubling.py::test_three",
        "gone: no such test: tests/test_none.py",
        "nothing: changes nothing",
        "nothing: is listed twice",
    ]


def test_a_fault_is_caught_missed_or_invalid(tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    source = (root / "src" / "lehr" / "doubling.py").read_text()
    cases = {
        "one more": ("x * 2", "x + 3", "test_doubling.py", "caught", "tests/test_doubling.py::test_two"),
        "a sum": ("x * 2", "x + 2", "test_doubling.py::test_two", "missed", "nothing"),
        "a syntax": ("x * 2", "x *", "test_doubling.py", "caught", "tests/test_doubling.py"),
        "no end": ("x * 2", "double(x)", "test_doubling.py", "caught", "tests/test_doubling.py::test_two"),
        "untested": ("x * 3", "x", "test_broken.py", "invalid", "fails without it: tests/test_broken.py::test_broken"),
        "gone": ("x * 4", "x", "test_doubling.py", "invalid", "its text is found 0 times"),
    }
    rows = [
        f"[[fault]]\nwhat = '{what}'\nfind = '{find}'\nreplace = '{replace}'\ntests = ['tests/{test}']\n"
        for what, (find, replace, test, *_) in cases.items()
    ]
    (tmp_path / "list.toml").write_text("\n".join(rows))
    command = [sys.executable, faults.__file__, "--root", root, "--faults", tmp_path / "list.toml"]
    done = subprocess.run([*command, "--json", tmp_path / "found.json"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.endswith("3 caught, 1 missed, 2 invalid\n"), done.stdout + done.stderr
    found = {each.what: (each.state, each.by) for each in faults.read_verdicts(tmp_path / "found.json").values()}
    assert found == {what: (state, by) for what, (*_, state, by) in cases.items()}
    assert (root / "src" / "lehr" / "doubling.py").read_text() == source


def test_the_page_has_a_row_a_fault_with_what_was_before(tmp_path: Path) -> None:
    now = [
        Verdict("A sign", "models", "caught", "tests/models/test_x.py::test_y", 1.0),
        Verdict("A|lock", "checkpoint", "missed", "nothing", 1.0),
    ]
    table = faults.as_markdown(now, {"A sign": Verdict("A sign", "models", "missed", "nothing", 1.0)})
    assert "2 faults in 2 rooms: 1 caught, 1 missed, 0 invalid. Before: 0 caught, 1 missed, 0 invalid." in table
    assert "| A sign | models | missed | caught | `models/test_x.py::test_y` |" in table
    assert "| A\\|lock | checkpoint | - | missed | nothing |" in table
    page = tmp_path / "page.md"
    page.write_text("# Faults\n<!-- faults: begin -->\nold\n<!-- faults: end -->\nmore\n")
    faults.write_between_marks(page, table)
    assert page.read_text() == f"# Faults\n<!-- faults: begin -->\n{table}<!-- faults: end -->\nmore\n"

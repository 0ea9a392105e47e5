"""tools/prose.py: which words it finds, on which lines, and what it passes over."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "prose.py"


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prose", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prose"] = module
    spec.loader.exec_module(module)
    return module


def found(prose: ModuleType, path: Path, text: str) -> list[tuple[int, str]]:
    path.write_text(text)
    return [(line, words) for line, words, _ in prose.findings(path, prose.read_rules())]


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("The run goes on.", "The run resumes."),
        ("Goes\non from there.", "Resumes\nfrom there."),
        ("The values of now are kept.", "The current values are kept."),
        ("12 images a second", "12 images per second"),
        ("one line an epoch", "one line per epoch"),
        ("It tells which.", "It reports which; the two are told apart."),
        ("left out", "skipped"),
        ("It lies in the folder.", "It is in the folder; the box lies outside."),
        ("3 image(s) replaced", "3 images replaced"),
        ("It stands in the file.", "It stands in for the file."),
        ("the the file", "the file that that names"),
        ("a file of its own", "a file of its own"),
        ("written in a file of its own", "written in a separate file"),
        ("It stays as it is.", "It is read as it is written."),
    ],
)
def test_bad_words_are_found_and_good_ones_are_not(prose: ModuleType, tmp_path: Path, bad: str, good: str) -> None:
    page = tmp_path / "page.md"
    assert bool(found(prose, page, bad)) == (bad != good)
    assert found(prose, page, good) == []


def test_findings_of_a_page_name_their_lines_and_code_is_no_prose(prose: ModuleType, tmp_path: Path) -> None:
    page = "# Title\n\n```\nit goes on\n```\n\nIt `goes on`, [it](goes-on.md).\nIt is long, and goes\non.\n\n|x|anew|\n"
    assert found(prose, tmp_path / "page.md", page) == [(8, "goes on"), (11, "anew")]


def test_findings_of_a_program_are_in_docstrings_comments_and_messages(prose: ModuleType, tmp_path: Path) -> None:
    program = (
        '"""What it is: goes\non."""\n'
        "goes = on  # drawn anew\n"
        "# it goes\n"
        "# on\n"
        'say(f"the run {goes} on, it "\n    "goes on")\n'
        'word = "anew"\n'
    )
    assert found(prose, tmp_path / "program.py", program) == [
        (1, "What ..."),
        (1, "goes on"),
        (3, "anew"),
        (4, "goes on"),
        (7, "goes on"),
    ]


def test_a_finding_is_printed_with_its_remedy_and_fails(
    prose: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Fine.\n\nIt goes on.\n")
    assert prose.main([str(page)]) == 1
    assert f"{page}:3: goes on -> resume, continue\n" in capsys.readouterr().out
    page.write_text("Fine.\n")
    assert prose.main([str(page)]) == 0

"""Every command line of the documents is run, shown by a test that is named, or marked with what it needs."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.commands import lehr
from tests.conftest import Once
from tests.document_commands import (
    MARKS,
    OTHERS,
    ROOT,
    SCRIPTS,
    Line,
    all_lines,
    command_lines,
    mark_of,
    owned,
    small,
)
from tests.document_workspace import make_workspace

LINES = all_lines()
EXITS = {"diff": 1}
"""Exit codes of commands whose answer is one: that runs differ."""


def test_lines_are_found_joined_and_made_small() -> None:
    text = (
        "```console\n$ lehr train --data x.yaml \\\n    --epochs 100  # long\noutput\n```\n"
        "```sh\nset -e\nlehr train\n```\n```\npip install x\nnot a command\n```\n```python\nlehr = 1\n```\n"
        "1. so:\n   ```console\n   $ lehr diff a b\n   ```\n"
    )
    lines = list(command_lines(text))
    assert [line.text for line in lines] == [
        "lehr train --data x.yaml --epochs 100",
        "set -e",
        "pip install x",
        "lehr diff a b",
    ]
    assert [line.script for line in lines] == [False, True, False, False]
    assert small(lines[0])[:5] == ("train", "--data", "x.yaml", "--epochs", "1") and "--width" in small(lines[0])
    assert "--width" not in small(Line("", "lehr train --weights w.pt"))


@pytest.mark.parametrize(
    "line", [each for each in LINES if each.script or each.program != "lehr"], ids=lambda line: line.text[:40]
)
def test_lines_of_other_programs_are_known_and_name_what_is_there(line: Line) -> None:
    if line.script or line.program in OTHERS:
        assert mark_of(line), f"{line.page}: say in SCRIPTS or OTHERS why this is not run: {line.text}"
        return
    words = line.words
    if line.program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1].partition("=")[0] in targets
    elif line.program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        named = {name for word in words for extras in re.findall(r"\[([\w,-]+)\]", word) for name in extras.split(",")}
        assert named <= set(project["optional-dependencies"])
        assert all((ROOT / word).exists() for word in words if word.endswith(".txt") or word.startswith("./"))
    elif Path(line.program).name == "python":
        if words[1:3] == ["-m", "pytest"]:
            assert all((ROOT / word).exists() for word in words[3:] if "/" in word)
            return
        path = f"{words[2].replace('.', '/')}.py" if words[1] == "-m" else words[1]
        source = (ROOT / path).read_text(encoding="utf-8")
        own = words[: words.index("--")] if "--" in words else words
        assert all(word in source for word in own if word.startswith("--")), "an option that the program has not"
    else:
        pytest.fail(f"{line.page}: a program that this test does not know; see tests/document_commands.py: {line.text}")


def test_no_mark_is_left_over_and_tests_that_are_named_show_what_they_are_to() -> None:
    texts = [line.text for line in LINES if not line.script and line.program == "lehr"]
    assert not [pattern for pattern in MARKS if not any(re.search(pattern, text) for text in texts)]
    firsts = [line.text for line in LINES if line.script]
    assert not [start for start in SCRIPTS if not any(text.startswith(start) for text in firsts)]
    for why in (*MARKS.values(), *SCRIPTS.values()):
        if why.startswith("tests/"):
            path, _, words = why.partition(": ")
            source = (ROOT / path).read_text(encoding="utf-8")
            assert words and all(word in source for word in words.split()), why


@pytest.fixture(scope="module")
def workspace(once: Once) -> Path:
    """What the documents speak of, small: data sets, photographs, weights of several trainers, runs."""
    return once("documents", make_workspace)


@pytest.mark.parametrize("page", list(owned()))
def test_commands_of_a_page_do_what_they_are_given(page: str, workspace: Path, tmp_path: Path) -> None:
    shutil.copytree(workspace, tmp_path / "here")
    for words in owned()[page]:
        lehr(*words, cwd=tmp_path / "here", code=EXITS.get(words[0], 0))

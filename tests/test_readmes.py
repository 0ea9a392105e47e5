"""README.md is short, and README.zh-CN.md says the same: commands, code, figures, links."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import lehr
from tests.conftest import make_squares
from tests.document_commands import BLOCK, Line, command_lines, small
from tests.pages_as_scripts import as_script, steps

ROOT = Path(__file__).parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")


def outside(text: str) -> str:
    """A page without its blocks."""
    return BLOCK.sub("", text)


def links(text: str) -> list[str]:
    """Targets of links and images, sorted: sentences have another order in Chinese."""
    return sorted(re.findall(r"\]\(([^)]+)\)", text))


def figures(text: str) -> list[str]:
    """Numbers outside of blocks, links and names such as YOLOv8, sorted."""
    text = re.sub(r"\]\([^)]*\)", "]", outside(text))
    return sorted(re.findall(r"(?<![\w.-])\d+(?:[.,]\d+)*(?![\w-])", text, re.ASCII))


def code(text: str) -> list[str]:
    """Statements of the blocks of Python, without their comments."""
    blocks = (block["text"] for block in BLOCK.finditer(text) if block["language"] == "python")
    return [line.split("  #")[0] for block in blocks for line in block.splitlines()]


def test_the_readme_can_be_read_at_once_and_begins_with_the_two_commands() -> None:
    assert len(ENGLISH.splitlines()) <= 120
    assert [line.text for line in command_lines(ENGLISH)][:2] == ["make demo", "make test"]
    assert "](README.zh-CN.md)" in ENGLISH and "](README.md)" in CHINESE


def test_the_chinese_readme_has_the_same_commands_and_code() -> None:
    assert [line.text for line in command_lines(CHINESE)] == [line.text for line in command_lines(ENGLISH)]
    assert code(CHINESE) == code(ENGLISH) and code(ENGLISH)


def test_the_chinese_readme_has_the_same_figures_links_and_sections() -> None:
    assert figures(CHINESE) == figures(ENGLISH) and len(figures(ENGLISH)) > 10
    assert links(CHINESE) == links(ENGLISH)
    assert len(re.findall(r"^## ", CHINESE, re.MULTILINE)) == len(re.findall(r"^## ", ENGLISH, re.MULTILINE))


def test_a_figure_that_was_changed_in_one_of_them_is_seen() -> None:
    assert figures(ENGLISH.replace("0.588", "0.589")) != figures(CHINESE)
    assert figures("v 1,234.5 of 10 GB, YOLOv8n, [x](a.md#3)") == ["1,234.5", "10"]


@pytest.fixture
def few_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `shapes` is a dozen images, with the image and the data that the pages name."""
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lehr.data.formats.shapes.COUNTS", {"train": 6, "val": 3, "test": 3})
    (tmp_path / "docs" / "images").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "images" / "shapes.jpg", tmp_path / "docs" / "images")
    make_squares(tmp_path, {"train": 4, "val": 2})
    shutil.copytree(tmp_path / "images" / "val", tmp_path / "photos")
    return tmp_path


SMALL = 'epochs=1, imgsz=64, batch=2, width=0.125, device="cpu"'


def test_commands_on_shapes_and_the_python_of_the_first_pages_work_in_order(few_shapes: Path) -> None:
    """The slow form follows README.md and docs/first-steps.md in a clone: tests/e2e/test_follow_pages.py."""
    pages = (ENGLISH, (ROOT / "docs" / "first-steps.md").read_text(encoding="utf-8"))
    demo = "lehr train --data shapes --epochs 1"  # what `make demo` does
    for page in pages:
        for step in [demo, *steps(page)] if page is ENGLISH else steps(page):
            if step.startswith("python - <<"):
                step = re.sub(r"epochs=100", SMALL, step.split("\n", 1)[1].rpartition("END_OF")[0])
                with contextlib.chdir(few_shapes):
                    exec(step, {})
            elif re.match(r"lehr (train|val|predict) .*(--data shapes|shapes\.jpg)", step) and "--analyze" not in step:
                lehr(*small(Line("", shlex.join(shlex.split(step, comments=True)))), cwd=few_shapes)
    left = {path.name for path in (few_shapes / "runs").iterdir()}
    assert left == {"train", "train-2", "first", "predict", "predict-2"}


def test_a_script_has_the_steps_of_a_page_with_what_takes_hours_replaced() -> None:
    page = "```console\n$ make a \\\n    b  # c\noutput\n```\n```python\nprint(1)\n```\n```\n$ not this\n```\n"
    assert steps(page) == ["make a b  # c", "python - <<'END_OF_PROGRAM'\nprint(1)\nEND_OF_PROGRAM"]
    script = as_script(["echo 1 && exit 3", "echo never"], {"1": "'2'"})
    done = subprocess.run(["bash", "-c", script], text=True, capture_output=True)
    assert done.returncode == 3 and "$ echo '2'" in done.stdout and "never" not in done.stdout

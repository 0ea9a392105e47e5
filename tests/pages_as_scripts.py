"""A page as a script: its commands and its Python in order, as somebody copies and pastes them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from lehr.models.build import build_model
from tests.conftest import make_squares
from tests.document_commands import BLOCK
from tests.weights.published.published_files import with_statistics, write_published

THEIRS = {"yolov5s.pt": "runs/train/exp/weights/best.pt", "yolov8n.pt": "runs/detect/train/weights/best.pt"}
"""Checkpoints of others, as pages name them, and where their trainers would have left the same."""


def steps(text: str) -> list[str]:
    """Commands and Python of a page in order, each as lines of a shell.

    Args:
        text: the page. Blocks of `console` give their lines that begin with `$ `, blocks of Python a program each.
    """
    found = []
    for block in BLOCK.finditer(text):
        if block["language"] == "python":
            found.append(f"python - <<'END_OF_PROGRAM'\n{block['text']}END_OF_PROGRAM")
        elif block["language"] == "console":
            joined = re.sub(r" *\\\n\s*", " ", block["text"])
            found += [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
    return found


def as_script(steps: list[str], replaced: Mapping[str, str]) -> str:
    """Return a script that shows each step and its seconds, and ends with the first that fails.

    Args:
        steps: of a page.
        replaced: patterns of what takes hours or cannot be there, and what is done instead.
    """
    lines = ["set -eo pipefail"]
    for step in steps:
        for pattern, instead in replaced.items():
            step = re.sub(pattern, instead, step)
        shown = step.replace("'", "'\\''")
        lines += [f"echo '$ {shown}'; began=$SECONDS", step, 'echo "== $((SECONDS - began)) s"']
    return "\n".join(lines) + "\n"


def make_reader_s_files(folder: Path) -> None:
    """What readers have who follow a page: a small data set, photographs, checkpoints of other trainers."""
    data = make_squares(folder, {"train": 8, "val": 4})
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump(content, sort_keys=False))
    shutil.copytree(folder / "images" / "val", folder / "photos")
    for name, place in THEIRS.items():
        model = with_statistics(build_model(Path(name).stem, ("small", "large"), 64))
        write_published(folder / name, model)
        (folder / "theirs" / place).parent.mkdir(parents=True)
        shutil.copy(folder / name, folder / "theirs" / place)

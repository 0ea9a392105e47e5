"""What users of the published trainers type, right and wrong, and the exact answers; see `transcripts/*.txt`.

Each transcript is made of entries: `$ lehr ...`, the answer, and `[exit N]`. After a
change of wording, rewrite them, and read what has changed aloud.

    python -m tests.cli.test_transcripts --rewrite
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.commands import lehr_code

from lehr.models.build import build_model
from lehr.weights.write import save_weights

FOLDER = Path(__file__).with_name("transcripts")
ENTRY = re.compile(r"^\$ (?P<command>.*)\n(?P<answer>(?:(?!\$ |\[exit).*\n)*)\[exit (?P<code>\d+)\]$", re.MULTILINE)
FEWEST = {"mistakes": 40, "habits": 20}
"""Entries of each transcript at least."""


def entries(name: str) -> Iterator[tuple[str, str, int]]:
    """Command, answer and exit code of each entry of a transcript."""
    for found in ENTRY.finditer((FOLDER / f"{name}.txt").read_text(encoding="utf-8")):
        yield found["command"], found["answer"], int(found["code"])


ENTRIES = [(name, *entry) for name in FEWEST for entry in entries(name)]


def workspace(folder: Path) -> None:
    """What a user has: weights, a data set, images, a finished run."""
    save_weights(build_model("yolov8n", ("cat", "dog"), 64, width=0.125), folder / "best.safetensors")
    (folder / "runs/train").mkdir(parents=True)
    (folder / "runs/train/best.safetensors").write_bytes((folder / "best.safetensors").read_bytes())
    (folder / "runs/train/config.yaml").write_text("model: yolov8n\n")
    for place in ("images", "photos"):
        (folder / place).mkdir()
        cv2.imwrite(str(folder / place / "a.png"), np.full((48, 64, 3), 90, np.uint8))
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [cat, dog]\n")
    (folder / "unclosed.yaml").write_text("train: images\nval: images\nnames: [cat, dog\n")
    (folder / "empty").mkdir()


def answer(command: str, folder: Path) -> tuple[str, int]:
    """What a command prints and its exit code, without what differs from place to place."""
    program, *words = shlex.split(command)
    assert program == "lehr"
    done = lehr_code(*words, cwd=folder)
    text = re.sub(r"\d+\.\d(?= ms|,|\.)", "0.0", done.stdout) if "Milliseconds" in done.stdout else done.stdout
    said = (text + done.stderr).replace(str(folder), "/home/you")
    return said if said.endswith("\n") or not said else f"{said}\n", done.returncode


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder; commands that end with an error leave it as it was."""
    folder = tmp_path_factory.mktemp("home")
    workspace(folder)
    return folder


@pytest.mark.parametrize(("name", "command", "said", "code"), ENTRIES, ids=[entry[1] for entry in ENTRIES])
def test_an_answer_is_word_for_word(
    name: str, command: str, said: str, code: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert answer(command, home) == (said, code)


@pytest.mark.parametrize("name", FEWEST)
def test_there_are_enough_and_none_twice(name: str) -> None:
    commands = [command for command, _, _ in entries(name)]
    assert len(commands) == len(set(commands)) >= FEWEST[name]
    assert (FOLDER / f"{name}.txt").read_text(encoding="utf-8").count("\n$ ") + 1 == len(commands)


def test_mistakes_are_answered_in_few_words() -> None:
    for command, said, code in entries("mistakes"):
        assert code == 2 and said.startswith("lehr: "), command
        assert len(said.splitlines()) <= 4 and len(said) < 420, command


def rewrite() -> None:
    """Write every transcript anew from the commands in it."""
    os.environ["COLUMNS"] = "80"
    with tempfile.TemporaryDirectory() as folder:
        workspace(Path(folder))
        for name in FEWEST:
            path = FOLDER / f"{name}.txt"
            lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.startswith("$ ")]
            parts = []
            for line in lines:
                said, code = answer(line[2:], Path(folder))
                parts.append(f"{line}\n{said}[exit {code}]\n")
            path.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__" and "--rewrite" in sys.argv:
    rewrite()

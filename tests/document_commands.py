"""Command lines of the documents: found, made small, and marked where they cannot be run here.

Each `lehr` command in a block of a page is run by `tests/test_document_commands.py`, unless a mark of `MARKS` says
which test shows it instead, or what it needs that is not there. So a new command in a page is run without anybody's
doing; one that fails wants its files in `workspace`, or a mark.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
PAGES += sorted(ROOT.glob("examples/*/README.md"))
BLOCK = re.compile(r"^(?P<margin> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE)
SHELL = ("sh", "bash", "shell", "zsh")
PROGRAMS = ("lehr", "pip", "python", "make", "torchrun", "curl", "docker")
"""Programs whose command lines are known without a prompt, too."""

SMALL = {"--epochs": "1", "--imgsz": "64", "--batch": "2", "--epoch": "1", "--step": "2", "--seeds": "2"}
"""Values that take the place of those in a page, so that a command takes half a second."""
TINY = {"--width": "0.125", "--device": "cpu", "--imgsz": "64", "--batch": "2", "--epochs": "1"}
"""Options of a training that does not say them."""
SAME = {
    "best.pt": "yolov8n.pt",
    "runs/detect/train/weights/best.pt": "yolov8n.pt",
    "runs/train/exp/weights/best.pt": "yolov5s.pt",
    "runs/evolve/hyp_evolved.yaml": "hyp.scratch-low.yaml",
}
"""Files of the workspace with the same content as another, so that commands on both need one run."""
LONGER = "4"
"""Epochs of a finished run that is made longer."""

GPU, MACHINES, SERVER = "needs a GPU", "needs several machines", "needs a server of its own"
NEVER: dict[str, str] = {
    r"(rtsp|rtmp|https?)://": "needs a stream or the network",
    r"^lehr predict .* [0-9]( |$)": "needs a camera",
    r"--watch": "goes on until it is stopped",
}
"""Why a `lehr` command can never be run by a test, whether a page has such a one or not."""
MARKS: dict[str, str] = {
    # what is not there
    r"--device (0|cuda)": GPU,
    r"--storage postgresql": SERVER,
    r"--project /fast": "names a disk of the reader's",
    # what another test shows; the words behind it stand in that test
    r"^lehr ablate .*--dry-run": "tests/e2e/test_study_commands.py: ablate --dry-run",
    r"^lehr evolve .*--dry-run": "tests/e2e/test_study_commands.py: evolve --dry-run",
    r"^lehr ablate (?!.*--dry-run)": "tests/e2e/test_study_commands.py: ablate --techniques --seeds",
    r"^lehr train .*--compile": "tests/engine/test_speed.py: compile",
    r"^lehr train .*--processes": "tests/e2e/test_processes.py: --processes",
    r"^lehr train --resume .*--processes": "tests/e2e/test_processes.py: --resume --processes",
    r"^lehr train .*--loggers": "tests/callbacks/test_loggers.py: tensorboard mlflow",
    r"^lehr train .*--batch auto": "tests/engine/test_autobatch.py: auto",
    r"^lehr train .*--profile": "tests/engine/test_speed.py: profile=True",
    r"^lehr train .*--keep-val": "tests/engine/test_older_data.py: keep_val",
    r"^lehr train .*--freeze": "tests/engine/test_start_from_weights.py: freeze=",
    r"^lehr train .*--reset-head": "tests/engine/test_start_from_weights.py: reset_head=True",
    r"^lehr train .*--callback": 'tests/callbacks/test_command.py: "--callback", NAME',
    r"--data shapes|shapes\.jpg|runs/first/": "tests/test_readmes.py: shapes first follow",
    r"^lehr export ": 'tests/export/test_command.py: lehr("export", --format --imgsz',
    r"^lehr val .*--weights best\.onnx": 'tests/backends/test_exported_network.py: lehr("val", "--weights", export',
    r"^lehr predict .*--weights best_openvino": 'tests/export/test_command.py: lehr("predict", "--weights", export',
    r"^lehr val .*--analyze": "tests/report/test_quality_section.py: val --analyze",
    r"^lehr report \S+$": 'tests/report/test_report_callback.py: lehr("report",',
    r"^lehr report \S+ runs": 'tests/report/test_comparison_page.py: lehr("report",',
    r"^lehr report .*--serve": "tests/report/test_serve.py: serve",
    r"^lehr doctor": "tests/doctor/test_command.py: doctor --json --device",
    r"hf://owner/name": "tests/integrations/test_hub.py: hf:// predict",
    r"^lehr train --model toy": "tests/examples/test_lehr_example.py: toy-s quarter-turns",
}
"""Why a `lehr` command is not run here, by a pattern: what it needs, or `TEST: words that stand in it`."""
OTHERS: dict[str, str] = {
    "torchrun": MACHINES,
    "docker": "needs Docker and the network",
    "export": "sets a password for the lines after it",
    "optuna-dashboard": "needs another program",
    "tensorboard": "serves until it is stopped",
    "mlflow": "serves until it is stopped",
    "curl": "asks the service of the line before it; tests/examples/test_serve.py does",
    "wandb": "needs an account",
    "python3": "makes an environment; tests/e2e/test_follow_pages.py does",
    "source": "enters an environment for the lines after it; tests/e2e/test_follow_pages.py follows pages in one",
}
"""Why command lines of other programs are not run."""
SCRIPTS: dict[str, str] = {
    "if [ -e runs/x/config.yaml ]": "tests/e2e/test_kill.py: --resume",
    "torchrun --nnodes 2": MACHINES,
    "#!/bin/bash": "needs SLURM",
    "export NCCL_SOCKET_IFNAME": MACHINES,
    "torchrun --rdzv-endpoint": MACHINES,
    "nft add table": "changes the machine's firewall",
}
"""Why scripts in blocks are not run, by how their first line begins."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command line of a page.

    Attributes:
        page: the page, from the root of the repository.
        text: the line, continued lines joined, without its prompt and its comment.
        script: whether it is the first line of a script, which is marked as a whole.
    """

    page: str
    text: str
    script: bool = False

    @property
    def words(self) -> list[str]:
        """The words of the line."""
        return shlex.split(self.text, comments=True)

    @property
    def program(self) -> str:
        """The program, as it is called."""
        return self.words[0]


def command_lines(text: str, page: str = "") -> Iterator[Line]:
    """Command lines in the blocks of a text.

    In a block of `console` they begin with `$ `; in one without a language with that or with a known program. A block
    of a shell's language is a script.
    """
    for block in BLOCK.finditer(text):
        lines = [line.strip() for line in re.sub(r"\\\n\s*", " ", block["text"]).splitlines()]
        if block["language"] in SHELL:
            yield Line(page, next(line for line in lines if line), script=True)
        elif block["language"] in ("console", ""):
            for line in lines:
                if line.startswith("$ ") or (not block["language"] and line.split(" ")[0] in PROGRAMS):
                    yield Line(page, shlex.join(shlex.split(line.removeprefix("$ "), comments=True)))


@cache
def all_lines() -> tuple[Line, ...]:
    """Command lines of all pages, in their order."""
    pages = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in PAGES]
    return tuple(line for page, text in pages for line in command_lines(text, page))


def mark_of(line: Line) -> str | None:
    """Why a line is not run; None where it is."""
    if line.script:
        return next((why for start, why in SCRIPTS.items() if line.text.startswith(start)), None)
    if line.program != "lehr":
        return OTHERS.get(line.program)
    return next((why for pattern, why in (NEVER | MARKS).items() if re.search(pattern, line.text)), None)


def small(line: Line) -> tuple[str, ...]:
    """Words of a `lehr` command with small values in the place of its own; all its options stay."""
    words = line.words[1:]
    for position, word in enumerate(words[:-1]):
        if word in SMALL and words[position + 1] != "auto":
            words[position + 1] = LONGER if word == "--epochs" and "--resume" in words else SMALL[word]
    if words[0] == "train" and "--resume" not in words and "--explain" not in words:
        missing = {name: value for name, value in TINY.items() if name not in words}
        if "--weights" in words:  # whose width it is
            missing.pop("--width", None)
        words += [word for pair in missing.items() for word in pair]
    return tuple(words)


def _without_default(words: tuple[str, ...]) -> list[str]:
    """Words of a command without a model that is the one by default."""
    text = shlex.join(words).replace(" --model yolov8n ", " ")
    return shlex.split(text)


@cache
def owned() -> dict[str, tuple[tuple[str, ...], ...]]:
    """The commands that are run, small, by the page that has each first."""
    known: set[tuple[str, ...]] = set()
    by_page: dict[str, tuple[tuple[str, ...], ...]] = {}
    for line in all_lines():
        if not line.script and line.program == "lehr" and mark_of(line) is None:
            words = small(line)
            key = tuple(sorted(SAME.get(word, word) for word in _without_default(words)))
            if key not in known:
                known.add(key)
                by_page[line.page] = (*by_page.get(line.page, ()), words)
    return by_page

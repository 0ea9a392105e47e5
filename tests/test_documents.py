"""Documents name files, commands and options that are there; tests/site/test_links.py has their links."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cyclopts import App

from lehr.cli.app import app
from lehr.data.images import write_image
from lehr.options.other_names import ABSENT, RENAMED, SAME
from tests.pages import defaults_in, is_allowed, is_default, other_defaults, usages

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCUMENTS += sorted(ROOT.glob("docs/**/*.md"))
ROOMS = (ROOT / "tests", ROOT, ROOT / "src", ROOT / "src" / "lehr")
"""Folders that a path in a document may begin in, beside the document's own."""
FOREIGN = {
    "torchrun": {"--max-restarts", "--nnodes", "--rdzv-conf", "--rdzv-endpoint", "--rdzv-id", "--signals-to-handle"},
    "other trainers": {
        f"--{each}" for name in (*ABSENT, *RENAMED, *SAME) for each in (name.replace("_", "-"), name.split("_")[0])
    },
    "docker and pip": {"--gpus", "--index-url", "--shm-size", "--user"},
    "benchmarks": {"--compare-dp", "--threads-per-process", "--trials-of", "--weak"},
}
"""Options of other programs that documents name by themselves."""
NAMES = {str(path.relative_to(ROOT)): path for path in DOCUMENTS}
everywhere = pytest.mark.parametrize("document", list(NAMES))


def spans(text: str) -> Iterator[str]:
    """Code of a document: backticked text, and the lines of its blocks, continued lines as one."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`]+)`", outside.replace("\n", " "))


def python_files(text: str) -> set[str]:
    """Paths of Python files with a folder; those with a placeholder in capitals are nobody's."""
    paths = {path for span in spans(text) for path in re.findall(r"(?<![\w./-])[\w./-]+/[\w.-]+\.py\b", span)}
    return {path for path in paths if not re.search(r"[A-Z]{3,}", path)}


def commands(text: str) -> Iterator[list[str]]:
    """Commands of `lehr`, in words from the name of the sub-command on, without comments and pipes."""
    for span in spans(text):
        if "import " in span:
            continue
        for command in re.findall(r"(?:^|[$&(|]|-m |\s)lehr ((?:[a-z]+)(?: .*)?)$", span.strip()):
            try:
                words = shlex.split(command.split(" #")[0])
            except ValueError:  # cut off in the middle of a quotation, or prose
                words = command.split()
            yield [word for word in words if word not in ("...", "|", "&&")]


@cache
def options_of(*names: str) -> frozenset[str]:
    """Options of a command; of all commands without a name."""
    if not names:
        return frozenset().union(*(options_of(*command) for command in all_commands()))
    command = sub_command(names)
    return frozenset(name for each in command.assemble_argument_collection() for name in (*each.names, *each.negatives))


def sub_command(names: tuple[str, ...]) -> App:
    command = app
    for name in names:
        command = command[name]
    return command


def all_commands() -> list[tuple[str, ...]]:
    first = [name for name in app if not name.startswith("-")]
    return [
        (name, *rest)
        for name in first
        for rest in ([(sub,) for sub in app[name] if not sub.startswith("-")] if name == "data" else [()])
    ]


def test_every_kind_of_thing_is_found_in_a_text() -> None:
    text = (
        "See `techniques/ema.py`.\n"
        "```console\n$ lehr train --epochs 2 \\\n    --batch auto  # comment --no-such\n```\nor `lehr data check x`."
    )
    assert python_files(text) == {"techniques/ema.py"}
    assert list(commands(text)) == [["train", "--epochs", "2", "--batch", "auto"], ["data", "check", "x"]]
    assert {"--epochs", "--no-amp"} - options_of("train") == {"--no-amp"} and "--ratios" in options_of("data", "split")


@everywhere
def test_files_are_there(document: str) -> None:
    path = NAMES[document]
    text = path.read_text(encoding="utf-8")
    folders = (path.parent, *ROOMS)
    missing = {name for name in python_files(text) if not any((folder / name).is_file() for folder in folders)}
    assert not missing


@everywhere
def test_commands_have_the_options_they_are_given(document: str) -> None:
    known = set(all_commands())
    for words in commands(NAMES[document].read_text(encoding="utf-8")):
        words = words[words[0] == "help" :]  # `lehr help train` is `lehr train --help`
        names = tuple(words[:2]) if words[0] == "data" and len(words) > 1 else (words[0],)
        assert names in known, f"lehr {' '.join(words)}"
        given = {re.split(r"[=,.:;)]", word)[0] for word in words[1:] if re.match(r"--[a-z]", word)}
        assert given <= {*options_of(*names), "--help", "--help-all"}, f"lehr {' '.join(words)}"


@everywhere
def test_options_in_the_text_are_options(document: str) -> None:
    known = {*options_of(), "--help", "--help-all", *(option for options in FOREIGN.values() for option in options)}
    text = re.sub(r"^ *```.*?^ *```", "", NAMES[document].read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    given = {re.match(r"--[a-z0-9-]+", span)[0] for span in re.findall(r"`(--[a-z][^`]*)`", text)}  # type: ignore[index]
    assert not given - known


@everywhere
def test_defaults_and_values_of_options_are_the_options_own(document: str) -> None:
    text = NAMES[document].read_text(encoding="utf-8")
    wrong = {f"--{name}: {said}" for name, said in defaults_in(text) if not is_default(name, said)}
    assert not wrong, "an option has another default; `--option` (VALUE) names it"
    refused = {f"--{name} {value}" for name, value in usages(text) if not is_allowed(name, value)}
    assert not refused, "no value of that option"


@pytest.mark.parametrize("document", ["README.md", "docs/ablation.md", "docs/evolution.md", "docs/scaling.md"])
def test_defaults_of_options_have_one_form(document: str) -> None:
    assert not other_defaults(NAMES[document].read_text(encoding="utf-8")), "write defaults as `--option` (VALUE)"


def rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs" / "rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_architecture_tells_of_every_room_in_the_order_of_the_contracts() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    layers = rooms().layers()
    assert sorted(told) == sorted(room for layer in layers for room in layer)
    depth = {room: number for number, layer in enumerate(layers) for room in layer}
    assert [depth[room] for room in told] == sorted(depth[room] for room in told)


def test_the_figure_of_the_rooms_is_that_of_the_contracts() -> None:
    module = rooms()
    assert (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8") == module.drawn(module.layers())


def test_the_guide_s_data_format_reads_boxes_and_finds_faults(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "DataFormat(" in block)
    given: dict[str, Any] = {}
    exec(block, given)
    for name in "abcdefghij":
        write_image(tmp_path / f"{name}.png", np.zeros((20, 30, 3), np.uint8))
    lines = [f"{name}.png,cat,1,2,11,12" for name in "abcdefghij"] + ["a.png,dog,5,5,5,9"]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,class,x1,y1,x2,y2", *lines]))
    source = str(tmp_path / "boxes.csv")
    assert given["CSV"].recognises(source)
    dataset = given["CSV"].read(source, 0)
    assert dataset.names == ("cat", "dog") and {len(samples) for samples in dataset.splits.values()} == {2, 8}
    assert [(fault.kind, fault.line) for fault in dataset.faults] == [("box-without-area", 12)]
    assert dataset.splits["train"][0].boxes.tolist() == [[1, 2, 11, 12]]

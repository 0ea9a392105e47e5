"""Help is fast, complete, and easy to read at every width."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from cyclopts import Argument
from tests.commands import lehr

from lehr.cli.app import app
from lehr.cli.arguments import as_options
from lehr.cli.command_help import by_group, group_of, label_of, shown_arguments, units_of
from lehr.cli.commands import OVERVIEWS
from lehr.cli.help import WIDEST
from lehr.cli.layout import LABEL, packed
from lehr.options import GROUPS, Options
from lehr.options.help_groups import FOLDED, HelpGroup

COMMANDS = [
    f"{parent} {command.name}".strip()
    for parent, overview in OVERVIEWS.items()
    for group in overview.values()
    for command in group
    if command.target
]
BASICS = {
    "train": "data model weights epochs imgsz batch device project name resume",
    "val": "data weights imgsz batch device split",
    "predict": "SOURCES weights imgsz batch device project name",
    "export": "data weights imgsz batch format out",
    "data check": "data",
}
"""First options of some commands, in order."""


@cache
def options(command: str) -> tuple[Argument, ...]:
    """The options of a command that are shown."""
    _, apps, _ = app.parse_commands(command.split())
    return tuple(shown_arguments(apps[-1]))


@cache
def help_of(command: str, columns: int = 80, flag: str = "--help") -> str:
    """What a command prints of itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        return lehr(*command.split(), flag, cwd=Path.cwd()).stdout


@pytest.mark.parametrize("columns", [80, WIDEST + 80])
@pytest.mark.parametrize("command", ["", "data", *COMMANDS])
def test_no_line_is_too_long(command: str, columns: int) -> None:
    said = help_of(command, columns, "--help-all")
    assert said.startswith(f"Usage: lehr {command}".rstrip()) and "Examples:\n" in said
    assert max(map(len, said.split("\n"))) <= min(columns, WIDEST)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_sentence_of_an_option_is_broken_even_at_80_columns(command: str) -> None:
    for argument in options(command):
        assert argument.parameter.help, f"{argument.name} says nothing"
        for unit in units_of(argument):
            choices = unit.startswith("[") and "default" in unit and ":" not in unit
            assert len(unit) <= 80 - LABEL or choices, f"{argument.name}: {unit}"


def test_units_stay_whole_where_they_fit_and_words_always() -> None:
    assert packed(["One.", "Two three.", "Four."], 15) == ["One. Two three.", "Four."]
    assert packed(["One two three four.", "Five."], 9) == ["One two", "three", "four.", "Five."]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_one_heading_and_is_shown_once(command: str) -> None:
    groups = by_group(options(command))
    shown, everything = (help_of(command, WIDEST + 80, flag) for flag in ("--help", "--help-all"))
    for argument in options(command):
        label = f"\n  {label_of(argument)}"
        times = len(re.findall(rf"{re.escape(label)}(?= |\n)", everything))
        assert times == 1, f"{argument.name} is shown {times} times"
        assert (re.search(rf"{re.escape(label)}(?= |\n)", shown) is None) == (group_of(argument) in FOLDED)
    for group in groups:
        assert (f"\n{group}:\n" in shown) == (group not in FOLDED)
        assert group not in FOLDED or group in _named(shown.split(f"shown by lehr {command} --help-all:")[1])


def test_every_option_of_a_run_has_its_heading_where_it_is_defined() -> None:
    def marks(group: type[Options]) -> Iterator[tuple[str, list[HelpGroup]]]:
        for name, field in group.model_fields.items():
            yield name, [mark for mark in field.metadata if isinstance(mark, HelpGroup)]

    shown = {each.name.removeprefix("--").replace("-", "_"): group_of(each) for each in options("train")}
    for group in GROUPS.values():
        for name, own in marks(group):
            assert len(own) <= 1 and own != [group.help_group], name
            assert shown[name] == (own[0] if own else group.help_group)


@pytest.mark.parametrize("command", BASICS)
def test_the_basics_come_first(command: str) -> None:
    basics = help_of(command).split("Basics:\n")[1].split("\n\n")[0]
    assert " ".join(re.findall(r"^  (?:--)?(\w+)", basics, re.MULTILINE)).lower() == BASICS[command].lower()


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_understood(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example parses: its options are there, its required ones are given."""
    said = help_of(command)
    examples = re.findall(r"^ +lehr (.*)$", said.split("Examples:\n")[1].split("\n\n")[0], re.MULTILINE)
    assert examples and all(example.startswith(command) for example in examples)
    for example in examples:
        words = shlex.split(example)
        monkeypatch.setattr("lehr.cli.arguments.best_of_run", Path)
        app.parse_args(as_options(words, app), exit_on_error=False, print_error=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_the_same_of_itself_as_the_overview(command: str) -> None:
    parent, _, name = command.rpartition(" ")
    (summary,) = (each.summary for group in OVERVIEWS[parent].values() for each in group if each.name == name)
    assert help_of(command).split("\n\n")[1] == summary
    assert summary in help_of(parent)


@pytest.mark.parametrize("words", [[], ["help"], ["-h"], ["--help"]])
def test_the_overview_comes_without_a_command(words: list[str]) -> None:
    assert lehr(*words, cwd=Path.cwd()).stdout == lehr("--help", cwd=Path.cwd()).stdout


def test_help_of_a_command_may_be_asked_in_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (["help", "train"], ["train", "data=x.yaml", "-h"]):
        assert lehr(*words, cwd=Path.cwd()).stdout == help_of("train")


def test_training_options_have_defaults_and_units() -> None:
    said = " ".join(help_of("train", WIDEST + 80, "--help-all").split())
    for phrase in ("pixels", "degrees", "[default: 0.01]", "--warmup-epochs", "[default: 640, for shapes 128]"):
        assert phrase in said


def test_help_does_not_load_torch_and_answers_at_once() -> None:
    code = (
        "import sys, lehr.cli.app as a\nfor words in (['--help'], ['train', '--help'], ['val', '--help']):\n"
        "    try: a.main(words)\n    except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert any(_seconds() < 0.3 for _ in range(5))


def _seconds() -> float:
    """What the answer costs a core; the clock on the wall would count what other processes take, too."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "lehr", "--help"], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_importing_lehr_costs_nothing() -> None:
    code = (
        "import sys, time\nbefore = time.process_time()\nimport lehr\nprint(time.process_time() - before)\n"
        "assert not {'torch', 'cv2', 'pydantic', 'numpy'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code]
    assert any(float(subprocess.run(command, check=True, capture_output=True).stdout) < 0.05 for _ in range(5))


def test_errors_are_imported_without_torch() -> None:
    code = "import sys\nfrom lehr import Diverged, InputError, LehrError, Stopped\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "lehr", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lehr 0.")


def _named(text: str) -> list[str]:
    """The headings that a list names."""
    return " ".join(text.split()).split(", ")

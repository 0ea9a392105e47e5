"""Lines are broken between words, at the width that a terminal has or COLUMNS says."""

from __future__ import annotations

import io
import os
import pty
import shlex

import pytest

from lehr.cli.output import show_command
from lehr.runtime.line_width import fold, fold_command, line_width
from lehr.runtime.plain_text import MARGIN


def test_lines_are_broken_between_words_and_continue_indented() -> None:
    assert fold("one two and three four", 11).split("\n") == ["one two and", f"{MARGIN}three", f"{MARGIN}four"]
    assert fold("one two three", None) == fold("one two three", 13) == "one two three"
    assert fold("        deep in here", 14).split("\n") == ["        deep", "          in", "          here"]


def test_a_value_continues_in_its_own_column() -> None:
    folded = fold("  float16    works, slow, without instructions", 26).split("\n")
    assert folded == ["  float16    works, slow,", "             without", "             instructions"]


def test_a_long_path_and_a_command_stay_whole() -> None:
    path = "/data/" + "a" * 40
    assert path in fold(f"Page: {path} is long", 30).split("\n")[0]
    assert fold("the first epochs: --patience 10", 27) == f"the first epochs:\n{MARGIN}--patience 10"
    assert "`lehr data check x.yaml`." in fold("Look at it with `lehr data check x.yaml`. Then train.", 34)


def test_wide_characters_count_as_two() -> None:
    assert fold("猫猫猫猫 犬犬", 12) == f"猫猫猫猫\n{MARGIN}犬犬"


def test_a_command_that_is_broken_can_be_pasted() -> None:
    command = "lehr val --weights runs/train/best.safetensors --data shapes --imgsz 640"
    folded = fold_command(command, 40, "  ")
    assert max(map(len, folded.splitlines())) <= 40 and len(folded.splitlines()) > 1
    assert shlex.split(folded.replace("\\\n", "")) == shlex.split(command)
    assert fold_command(command, None, "  ") == fold_command(command, 80, "  ") == f"  {command}"


def test_a_command_of_the_console_is_not_broken_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    command = f"lehr val --weights /{'a' * 60}/best.safetensors --data shapes"
    show_command(command, "  ")
    assert shlex.split(capsys.readouterr().out.replace("\\\n", "")) == shlex.split(command)


def test_the_width_is_the_terminals_unless_columns_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert line_width(io.StringIO()) is None
    first, second = pty.openpty()
    with os.fdopen(first, "rb", 0), os.fdopen(second, "w") as stream:
        import fcntl
        import struct
        import termios

        for columns in (132, 60):  # a window that is resized
            fcntl.ioctl(stream, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            assert line_width(stream) == columns
        monkeypatch.setenv("COLUMNS", "100")
        assert line_width(stream) == line_width(io.StringIO()) == 100
        for odd in ("", "wide", "0", "-3"):
            monkeypatch.setenv("COLUMNS", odd)
            assert line_width(stream) == 60

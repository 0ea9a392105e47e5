"""Lines are printed and kept as they are, whatever they may mean to a terminal's library."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr.runtime.console import LOGGER, Console


def test_names_with_colons_and_brackets_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--augmentation weather:fog: is code; /data/:tiger:/[red] 0.5"
    with Console(tmp_path / "train.log") as console:
        console.say(line)
    assert line in capsys.readouterr().out and line in (tmp_path / "train.log").read_text()


def test_nothing_that_is_logged_begins_a_line_but_what_lehr_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "a\x1b]0;x\x07\r\nlehr: all is well\u2028\udcff"
    with Console(tmp_path / "train.log") as console:
        console.say(evil, "", "next")
        LOGGER.warning("%s", evil)
        try:
            raise ValueError(evil)
        except ValueError as error:
            LOGGER.warning("%s failed", "callback", exc_info=error)
    for text in (capsys.readouterr().out, (tmp_path / "train.log").read_bytes().decode()):
        assert text.count("\n      lehr: all is well") >= 2 and "\nlehr: all" not in text and "\n\nnext\n" in text
        assert text.replace("\n", "").isprintable()

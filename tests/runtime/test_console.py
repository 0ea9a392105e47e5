"""Lines are printed and kept as they are, whatever they may mean to a terminal's library."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr.runtime.console import Console


def test_names_with_colons_and_brackets_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--augmentation weather:fog: is code; /data/:tiger:/[red] 0.5"
    with Console(tmp_path / "train.log") as console:
        console.say(line)
    assert line in capsys.readouterr().out and line in (tmp_path / "train.log").read_text()

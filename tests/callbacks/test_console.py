"""The course of a run on terminals of several widths, in files, and without colours: from made-up events."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console as RichConsole
from tests.callbacks.made_run import batch_end, epoch_end, events_of, feed, made_metrics, made_run

from lehr.callbacks.console import HEADER_ROWS, ConsoleCallback
from lehr.callbacks.epoch_table import EpochTable, fitted
from lehr.callbacks.events import TrainEpochStart, TrainStart
from lehr.runtime.console import Console, terminal
from lehr.runtime.progress_bar import ProgressBar

LEARNING = [0.0, 0.1, 0.25, 0.2]
NARROW = ["epoch", "box", "cls", "dfl", "images/s", "P", "R", "mAP50", "mAP50-95", "remaining"]
ALL = ["epoch", "memory", "box", "cls", "dfl", "instances", "size", "lr", *NARROW[4:]]


def said(
    tmp_path: Path, width: int, fitness: list[float] = LEARNING, crowded: bool = False, instances: int = 1204
) -> str:
    """What a run prints on a console of a width, without a bar."""
    out = io.StringIO()
    rich = RichConsole(file=out, width=width, force_terminal=False, soft_wrap=True, highlight=False)
    run = made_run(tmp_path, epochs=100, crowded=crowded, batches=2)
    with Console(tmp_path / "train.log", rich) as output:
        feed(ConsoleCallback(output), events_of(run, fitness, instances))
    return out.getvalue()


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_broken(tmp_path: Path, width: int, crowded: bool) -> None:
    narrow, whole = said(tmp_path, width, crowded=crowded), said(tmp_path, 10_000, crowded=crowded)
    assert max(map(cell_len, narrow.splitlines())) <= width
    shortened = {word for word in narrow.split() if ".." in word}
    assert set(narrow.split()) - shortened <= set(whole.split())
    assert not shortened or width < 60


@pytest.mark.parametrize(("width", "columns"), [(80, NARROW), (120, ALL), (200, ALL)])
def test_the_less_telling_columns_go_first_and_numbers_stand_under_their_names(
    tmp_path: Path, width: int, columns: list[str]
) -> None:
    lines = said(tmp_path, width).splitlines()
    assert lines[0].split() == columns
    rows = [line for line in lines if re.match(r" *\d+/100 ", line)]
    assert len(rows) == len(LEARNING)
    ends = [match.end() for match in re.finditer(r"\S+", lines[0])]
    for row in rows:
        assert [match.end() for match in re.finditer(r"\S+", row.removesuffix(" *"))] == ends


def test_a_narrow_terminal_keeps_what_the_best_epoch_is_chosen_by(tmp_path: Path) -> None:
    for crowded, kept in ((False, "mAP50-95"), (True, "mAP50-95_300")):
        table = EpochTable(made_run(tmp_path, crowded=crowded))
        titles = [column.title for column in table.columns(20)]
        assert titles == ["epoch", kept]
        assert set(titles) < {column.title for column in table.columns(80)} < {c.title for c in table.columns()}


def test_the_log_has_all_columns_whatever_the_terminal_has(tmp_path: Path) -> None:
    said(tmp_path, 40)
    log = (tmp_path / "train.log").read_text().splitlines()
    assert log[0].split() == ALL and len(log[1].split()) == len(ALL)
    assert any("white blood cell" in line for line in log)
    assert any(line.endswith("Best epoch 3, on the validation split:") for line in log)


def test_the_star_is_explained_once_and_marks_what_was_learned(tmp_path: Path) -> None:
    out = said(tmp_path, 80)
    assert out.count("the best epoch so far, by 0.1 x mAP50 + 0.9 x mAP50-95") == 1
    assert re.findall(r"(\d+)/100 .* \*\n", out) == ["2", "3"]
    assert "0.9 x mAP50-95_300" in said(tmp_path, 80, crowded=True)


def test_no_epoch_is_the_best_where_nothing_was_learned(tmp_path: Path) -> None:
    out = said(tmp_path, 10_000, [0.0, 0.0, 0.0001])
    assert "Nothing was learned yet: mAP is 0 in all 3 epochs" in out and "*" not in out and "Best epoch" not in out
    assert "a detector needs more than 6 steps" in out and "lehr data check cells.yaml" in out and "--lr0" in out
    assert "the only epoch" in said(tmp_path, 10_000, [0.0])
    without_objects = said(tmp_path, 10_000, [0.0, 0.0], instances=0)
    assert "Epoch 2, the last, counts as the best" in without_objects and "Nothing was learned" not in without_objects


def test_names_of_columns_are_repeated_before_they_scroll_away_and_when_others_fit(tmp_path: Path) -> None:
    out = io.StringIO()
    rich = RichConsole(file=out, width=120, force_terminal=True, soft_wrap=True, highlight=False, color_system=None)
    run = made_run(tmp_path)
    with Console(tmp_path / "train.log", rich) as output:
        listener = ConsoleCallback(output)
        listener.on_train_start(TrainStart(run, 0, 0, False))
        for epoch in range(HEADER_ROWS + 5):
            rich.width = 120 if epoch < HEADER_ROWS + 3 else 80
            listener.on_fit_epoch_end(epoch_end(run, epoch, made_metrics(0.3), best=False))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    headers = [number for number, line in enumerate(lines) if "epoch" in line]
    assert headers == [0, HEADER_ROWS + 1, HEADER_ROWS + 5]
    assert lines[headers[2]].split() == NARROW
    assert sum("epoch" in line for line in (tmp_path / "train.log").read_text().splitlines()) == 1


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("plain", [False, True])
def test_the_bar_has_the_epoch_and_fits(tmp_path: Path, width: int, plain: bool) -> None:
    bar = ProgressBar(RichConsole(file=io.StringIO(), width=width), "epoch 12/100", 1234)
    bar.move(617, ["1:05 left", "85.3 images/s", "box 1.234", "cls 2.345", "dfl 1.111"])
    line = bar.line(width, plain).plain
    assert line.startswith("epoch 12/100 ") and " 617/1234" in line and cell_len(line) < width
    assert ("1:05 left" in line) == (width >= 80) and ("dfl 1.111" in line) == (width >= 120)
    full, empty = ("#", "-") if plain else ("━", "─")
    cells = line.split()[2]
    assert abs(cells.count(full) - cells.count(empty)) <= 1 and set(cells) == {full, empty}
    assert line.isascii() == plain


def test_a_bar_runs_while_an_epoch_does_and_leaves_nothing_behind(tmp_path: Path) -> None:
    out = io.StringIO()
    rich = RichConsole(file=out, width=80, force_terminal=True, soft_wrap=True, highlight=False)
    run = made_run(tmp_path, batches=3)
    with Console(tmp_path / "train.log", rich) as output:
        listener = ConsoleCallback(output)
        listener.on_train_start(TrainStart(run, 0, 0, False))
        listener.on_train_epoch_start(TrainEpochStart(run, 1, 3, 3))
        listener.on_train_batch_end(batch_end(run, 1, 3))
        assert listener._bar is not None
        rich.width = 30  # a terminal that is made narrower
        listener.on_train_batch_end(batch_end(run, 1, 4))
        feed(listener, iter(list(events_of(run, [0.1]))[-1:]))
    assert "epoch 2/100" in out.getvalue() and listener._bar is None


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what a run prints on a terminal, of some encoding."""

    class Stream(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")

    def run(tmp_path: Path, encoding: str = "utf-8") -> str:
        raw = io.BytesIO()
        stream = Stream(raw, encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        with Console(tmp_path / "train.log") as output:
            feed(ConsoleCallback(output), events_of(made_run(tmp_path, batches=2), LEARNING))
        stream.flush()
        return raw.getvalue().decode(encoding)

    return run


COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m|\x1b\[[0-9;]*[34]8;")
MOVES = "\x1b[2K"


def test_a_terminal_has_colours_and_a_bar(tmp_path: Path, on_a_terminal: Callable[..., str]) -> None:
    out = on_a_terminal(tmp_path)
    assert COLOUR.search(out) and MOVES in out and "━" in out


def test_no_color_takes_the_colours_away(
    tmp_path: Path, on_a_terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = on_a_terminal(tmp_path)
    assert not COLOUR.search(out) and MOVES in out


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("CI", "true")])
def test_dumb_terminals_and_continuous_integration_get_no_bar(
    tmp_path: Path, on_a_terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    out = on_a_terminal(tmp_path)
    assert MOVES not in out and "━" not in out and "\r" not in out
    assert name == "CI" or "\x1b" not in out
    assert re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()[0].split() == NARROW


def test_a_terminal_without_utf_8_gets_ascii(tmp_path: Path, on_a_terminal: Callable[..., str]) -> None:
    out = on_a_terminal(tmp_path, "ascii")
    assert "#" in out and "\\u" not in out


def test_a_pipe_gets_all_columns_and_no_control_codes_even_where_colours_are_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal().is_interactive is False
    with Console(tmp_path / "train.log") as output:
        assert output.width is None and not output.is_terminal
        feed(ConsoleCallback(output), events_of(made_run(tmp_path, batches=2), LEARNING))
    out = capsys.readouterr().out
    assert re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()[0].split() == ALL and MOVES not in out and "\r" not in out


def test_numbers_of_any_size_fit_their_cells() -> None:
    shown = [fitted(value, 6) for value in (1.23456, 123.456, 12345.6, 1e9, float("nan"))]
    assert shown == ["1.235", "123.46", "12346", "1.0e9", "nan"]

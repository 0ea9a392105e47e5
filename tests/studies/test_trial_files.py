"""Files of a study's folder as a stranger may have left them: links that are not followed, content of any form."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console as RichConsole

from lehr.errors import InputError, LehrError
from lehr.runtime.child_process import start_module
from lehr.search.fitness import METRICS, read_epochs
from lehr.search.records import Record
from lehr.studies.progress import StudyConsole
from lehr.studies.runner import STUDY, begun_with
from lehr.studies.trial_files import (
    Outcome,
    open_log,
    own_folder,
    read_job,
    read_outcome,
    write_job,
    write_outcome,
)
from lehr.studies.trials_csv import write_table
from lehr.studies.worker import TRIAL_MODULE, TRIALS, WORKERS, Job, Worker

JOB: dict[str, Any] = {"options": {"lr0": 0.1}, "folder": "f", "outcome": "o", "worker": 1, "cores": [0]}
OUTCOME: dict[str, Any] = {"code": 0, "kind": "finished", "message": "", "memory": 100.0}
WRONG: list[Any] = ["x", -1.5, None, [], {}, True, 10**30, [1, "x"], {"a": 1}]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A worker whose trial does nothing."""
    job = Job(
        "", "study", str(tmp_path), {"data": "x"}, (), 30.0, 60.0, 3, False, os.getpid(), {}, "tests.studies.none"
    )
    return Worker(job, types.SimpleNamespace(asked=False))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["0000.job.json", "0000.log"])
def test_a_link_in_the_folder_of_trials_is_not_written_through(name: str, worker: Worker, tmp_path: Path) -> None:
    victim = tmp_path / "authorized_keys"
    victim.write_text("mine\n")
    (tmp_path / TRIALS).mkdir()
    (tmp_path / TRIALS / name).symlink_to(victim)
    with pytest.raises(LehrError, match="link"):
        worker._begin(tmp_path / TRIALS / "0000", {})
    assert victim.read_text() == "mine\n"


@pytest.mark.parametrize("name", [TRIALS, f"{TRIALS}/0000", f"{TRIALS}/0000.outcome.json"])
def test_no_run_is_made_in_a_folder_that_is_a_link(name: str, worker: Worker, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(elsewhere)
    if name.endswith("json"):  # it is the worker's to remove
        process, outcome = worker._begin(tmp_path / TRIALS / "0000", {})
        process.wait(60)
        assert not outcome.is_symlink()
    else:
        with pytest.raises(LehrError, match="link"):
            worker._begin(tmp_path / TRIALS / "0000", {})
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", [TRIALS, WORKERS, "plots"])
def test_a_folder_of_the_study_that_is_a_link_or_a_file_is_not_used(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(LehrError, match=rf"{name}: is a link"):
        own_folder(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).touch()
    with pytest.raises(LehrError, match=rf"{name}: cannot be created"):
        own_folder(tmp_path / name)


@pytest.mark.parametrize("write", [lambda path: write_job(path, JOB), lambda path: open_log(path).close()])
def test_what_is_no_file_is_not_written(write: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(LehrError, match=name):
            write(tmp_path / name)


def test_jobs_and_outcomes_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_job(path, JOB)
    assert read_job(path).model_dump() == JOB
    write_outcome(path, Outcome(code=1, kind="failed", message="why", memory=None))
    assert read_outcome(path) == {"code": 1, "kind": "failed", "message": "why"}


def test_a_job_that_others_have_put_in_the_place_of_the_workers_is_not_done(tmp_path: Path) -> None:
    path, evil = tmp_path / "0000.job.json", tmp_path / "evil.json"
    digest = write_job(path, JOB)
    assert read_job(path, digest).model_dump() == JOB
    write_job(evil, {**JOB, "options": {"callback": ["evil:run"]}})
    evil.replace(path)
    with pytest.raises(InputError, match="not the job that the worker wrote"):
        read_job(path, digest)
    process = start_module(TRIAL_MODULE, str(path), digest, stderr=subprocess.PIPE, text=True)
    _, said = process.communicate(timeout=60)
    assert process.returncode == InputError.exit_code
    assert "not the job that the worker wrote" in said


def test_a_trial_is_told_the_digest_of_its_job(worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr("lehr.studies.worker.start_module", lambda *arguments, **_: started.append(arguments))
    worker._begin(tmp_path / TRIALS / "0000", {"seed": 3})
    _, job, digest = started[0]
    assert read_job(Path(job), digest).options == {"seed": 3}


def test_what_a_study_began_with_is_not_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("search: {space: {lr0: 1}}\n")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / STUDY).symlink_to(tmp_path / "mine.yaml")
    config: Any = types.SimpleNamespace(run=types.SimpleNamespace(project=tmp_path, name="study"))
    with pytest.raises(InputError, match=r"study\.yaml: .*link"):
        begun_with(config, "evolve", "space")


@pytest.mark.parametrize("name", JOB)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_job_of_any_form_ends_in_a_message(name: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    allowed = (name, value) in (
        ("options", {}),
        ("options", {"a": 1}),
        ("folder", "x"),
        ("outcome", "x"),
        ("cores", []),
    )
    path.write_text(json.dumps({**JOB, name: value}))
    if allowed:
        read_job(path)
    else:
        with pytest.raises(InputError, match=r"x\.json: is not a job"):
            read_job(path)


@pytest.mark.parametrize("name", OUTCOME)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_an_outcome_of_any_form_is_one_or_none(name: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**OUTCOME, name: value}))
    found = read_outcome(path)
    assert found == {} or (name, value) in (("message", "x"), ("memory", None))


CONTENT = [b"", b"{", b"[" * 100_000, b"5", b"\xff\xfe", b"null", b"x" * 2**21, b'{"code": 1e999}', b'{"memory": NaN}']


@pytest.mark.parametrize("content", CONTENT, ids=lambda content: repr(content[:15]))
def test_a_file_that_is_no_json_or_no_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_job(path)
    assert read_outcome(path) == {}
    path.unlink()
    for make in (lambda: os.mkfifo(path), path.mkdir, lambda: path.symlink_to("/dev/zero")):
        make()
        with pytest.raises(InputError, match=r"x\.json: cannot be read"):
            read_job(path)
        assert read_outcome(path) == {}
        path.rmdir() if path.is_dir() else path.unlink()


NAMES = ["epoch", "seconds", "images_per_second", *(f"val/{name}" for name in METRICS)]
ROW = ["1", "12.5", "40", *["0.5"] * len(METRICS)]


def table(names: list[str], *rows: list[str]) -> bytes:
    return "".join(",".join(line) + "\n" for line in (names, *rows)).encode()


RESULTS = {
    "a column less": table([*NAMES[:1], *NAMES[2:]], [*ROW[:1], *ROW[2:]]),
    "text for a number": table(NAMES, [*ROW[:4], "x", *ROW[5:]]),
    "a time that is text": table(NAMES, ["1", "soon", *ROW[2:]]),
    "no time": table(NAMES, ["1", "", *ROW[2:]]),
    "a time before the first": table(NAMES, ["1", "-5", *ROW[2:]]),
    "an endless time": table(NAMES, ["1", "inf", *ROW[2:]]),
    "a time that is not a number": table(NAMES, ["1", "nan", *ROW[2:]]),
    "too large a number": table(NAMES, [*ROW[:4], "1e300", *ROW[5:]]),
    "endless digits": table(NAMES, [*ROW[:4], "9" * 5000, *ROW[5:]]),
    "a row that ends": table(NAMES, ["1"]),
    "a long field": table(NAMES, [*ROW[:4], "x" * 200_000, *ROW[5:]]),
    "a formula": table(NAMES, [*ROW[:4], "=cmd|x", *ROW[5:]]),
    "escapes": table(NAMES, [*ROW[:4], "\x1b]0;x\x07", *ROW[5:]]),
    "no text": b"\xff\xfe\x00,\n\xff",
    "zeros": b"seconds\0,x\n\0,1\n",
    "a table of something else": b"a,b\n1,2\n",
}


@pytest.mark.parametrize("case", RESULTS)
def test_a_table_of_epochs_of_any_form_ends_in_a_message(case: str, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(RESULTS[case])
    with pytest.raises(InputError, match=r"results\.csv") as error:
        read_epochs(path)
    assert len(str(error.value)) < 400 + len(str(path)) and "\x1b" not in str(error.value)


def test_a_table_of_epochs_is_a_file_and_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.csv"
    for make in (lambda: os.mkfifo(path), path.mkdir, lambda: path.symlink_to("/dev/zero")):
        make()
        with pytest.raises(InputError, match=r"results\.csv: cannot be read"):
            read_epochs(path)
        path.rmdir() if path.is_dir() else path.unlink()
    path.write_bytes(table(NAMES, ROW))
    assert len(read_epochs(path)) == 1
    monkeypatch.setattr("lehr.checkpoint.results_csv.MAX_RESULTS", 100)
    with pytest.raises(InputError, match="larger"):
        read_epochs(path)


FORMULA = "=cmd|'/C calc'!A0:1"


def test_no_cell_of_a_table_of_trials_is_one_that_a_spreadsheet_computes(tmp_path: Path) -> None:
    names = ("=HYPERLINK(1)", "-2+3", "plain")
    record = Record(0, "finished", {}, -0.5, metrics={"map": -1e-5}, worker=FORMULA, folder="@SUM(1)\n=1")
    write_table([record], names, lambda record: ["+1+1", "\t=1", -0.5], tmp_path / "evolve.csv")
    head, row = csv.reader(io.StringIO((tmp_path / "evolve.csv").read_text()))
    assert not [cell for cell in (*head, *row) if cell.lstrip()[:1] in ("=", "@", "+", "\t") or "\n" in cell]
    assert head[-3:] == ["'=HYPERLINK(1)", "'-2+3", "plain"] and row[-1] == "-0.5" and row[2] == "-0.5"


@pytest.mark.parametrize("worker", ["[/x]:1", "[link=http://a]x[/link]:1", "[red]:1", "\x1b[2J\nlehr: done:1"])
def test_names_of_workers_are_text_on_a_terminal(worker: str, tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = RichConsole(file=out, force_terminal=True, width=200, color_system=None)
    record = Record(0, "running", {}, worker=worker)
    with StudyConsole(tmp_path / "study.log", 3, lambda record: "[/]", terminal) as console:
        console.show([record])
        console.trial_ended(record, 1, [record])
    lines = (tmp_path / "study.log").read_text().splitlines()
    assert len(lines) == 1 and "\x1b[2J" not in out.getvalue() + lines[0]
    assert worker.replace("\x1b", "\\x1b").replace("\n", "\\n") in lines[0]


def test_the_line_of_a_trial_fits_80_columns_and_the_log_has_all_of_it(tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = RichConsole(file=out, force_terminal=True, width=80, color_system=None)
    metrics = {"map50": 0.5, "map": 0.25}
    records = [Record(n, "finished", {}, n / 4, metrics=metrics, worker="host:1", seconds=9.0) for n in range(2)]
    with StudyConsole(tmp_path / "study.log", 3, lambda record: "", terminal) as console:
        for count, record in enumerate(records, 1):
            console.trial_ended(record, count, records)
    shown = [line for line in re.sub(r"\x1b[^A-Za-z]*[A-Za-z]|\r", "", out.getvalue()).splitlines() if "trial" in line]
    assert [line.split() for line in shown] == [
        ["1/2", "trial", "0", "finished", "fitness", "0.0000", "0:09"],
        ["2/2", "trial", "1", "finished", "fitness", "0.2500", "0:09", "*"],
    ]
    assert "mAP50-95 0.250" in (tmp_path / "study.log").read_text() and "host:1" in (tmp_path / "study.log").read_text()

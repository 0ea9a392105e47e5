"""`lehr ablate` and `lehr evolve` as a user runs them: what they find, refuse, estimate, and go on with.

Trials are made up here, as in `test_studies.py`, and train in the slow suite.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.e2e.studies import LEARN, ROOT, STUB, TINY, ended, rows, started, trials_of
from tests.studies.hostile import set_attribute

pytestmark = pytest.mark.timeout(1200)


def shuffled(study_data: Path, folder: Path) -> Path:
    """The data set with the labels of its training images dealt out anew."""
    root = study_data.parent
    labels = sorted((root / "labels" / "train").glob("*.txt"))
    order = np.random.default_rng(0).permutation(len(labels))
    for split in ("train", "val"):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / split).symlink_to(root / "images" / split)
        (folder / "labels" / split).mkdir(parents=True)
    for label, other in zip(labels, order, strict=True):
        (folder / "labels" / "train" / label.name).write_bytes(labels[other].read_bytes())
    for label in (root / "labels" / "val").glob("*.txt"):
        (folder / "labels" / "val" / label.name).write_bytes(label.read_bytes())
    (folder / "data.yaml").write_bytes(study_data.read_bytes())
    return folder / "data.yaml"


@pytest.mark.usefixtures("trains")
def test_an_ablation_sees_no_difference_where_there_is_none_and_harm_where_there_is(
    study_data: Path, tmp_path: Path
) -> None:
    techniques = tmp_path / "techniques.yaml"
    sabotage = shuffled(study_data, tmp_path / "shuffled")
    techniques.write_text(f"no_op: {{on: {{}}, off: {{}}}}\nshuffled_labels: {{on: {{data: {sabotage}}}}}\n")
    arguments = ["ablate", "--data", str(study_data), *TINY, *LEARN, "--lr0", "0.002", "--seeds", "3"]
    arguments += ["--techniques", "no_op,shuffled_labels", "--technique-file", str(techniques)]
    arguments += ["--mode", "add-one-in", "--jobs", "2"]
    process = started(arguments, tmp_path)
    out = ended(process)
    assert process.returncode == 0, out
    folder = tmp_path / "runs" / "ablate"
    found = {effect["technique"]: effect for effect in json.loads((folder / "effects.json").read_text())["fitness"]}
    no_op, harm = found["no_op"], found["shuffled_labels"]
    assert no_op["pairs"] == [0.0] * 3 and no_op["verdict"] == "no difference seen at this sample size"
    assert harm["verdict"] == "hurts" and harm["high"] < 0 and harm["low"] < harm["difference"] < harm["high"]
    assert re.search(r"shuffled_labels .*hurts", out) and "no_op" in (folder / "ablation.md").read_text()
    table = rows(folder / "ablation.csv")
    assert [(row["seed"], row["no_op"], row["shuffled_labels"]) for row in table] == [
        (str(seed), *states) for seed in range(3) for states in (("off", "off"), ("on", "off"), ("off", "on"))
    ]
    assert all(float(row["memory"]) > 50 and float(row["seconds"]) > 0 for row in table)
    again = ended(started(arguments, tmp_path))
    assert "trial 0 " not in again and "hurts" in again


BAD = {
    "bounds upside down": (
        ["--space", "space.yaml"],
        "lr0: [0.1, 0.001]\n",
        "space.yaml:1: the bounds of 'lr0' are in the wrong order: 0.1 is above 0.001. Swap them.",
    ),
    "an unknown parameter": (
        ["--space", "space.yaml"],
        "lr0:\nmosaik: [0, 1]\n",
        "space.yaml:2: unknown parameter 'mosaik'",
    ),
    "a value now outside": (["--space", "space.yaml"], "scale: [0.6, 0.9]\n", "space.yaml:1: scale is 0.5 now"),
    "a storage away": (["--storage", "postgresql://u:secret@127.0.0.1:9/x"], "", "cannot be used"),
    "no such metric": (["--fitness", "map95"], "", "unknown metric 'map95'"),
    "pruning after the end": (["--prune-after", "9"], "", "none would be pruned"),
    "a batch that differs": (["--batch", "auto"], "", "must have the same batch"),
    "no such sampler": (["--sampler", "genetic"], "", "--sampler"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_search_cannot_do_is_told_before_anything_is_made(case: str, study_data: Path, tmp_path: Path) -> None:
    arguments, space, said = BAD[case]
    (tmp_path / "space.yaml").write_text(space)
    result = lehr("evolve", "--data", str(study_data), *TINY, "--epochs", "4", *arguments, cwd=tmp_path, code=2)
    assert said in result.stderr
    assert "secret" not in result.stderr and not (tmp_path / "runs" / "evolve").exists()


def test_a_dry_run_lists_what_would_be_done_measures_an_epoch_and_leaves_nothing(
    make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["--data", str(make_yolo()), *TINY, "--epochs", "9", "--dry-run"]
    search = lehr("evolve", *run, "--trials", "12", cwd=tmp_path).stdout
    assert (
        re.search(r"^lr0 +0\.\d+ +1e-05 to 0.1, logarithmic$", search, re.MULTILINE)
        and "12 trials of 9 epochs" in search
    )
    minutes, seconds = map(int, re.search(r"About (\d+):(\d\d) here", search).groups())  # type: ignore[union-attr]
    assert 10 < 60 * minutes + seconds < 1200
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    monkeypatch.setattr("lehr.studies.estimate.TRIAL_MODULE", STUB)  # one epoch that trains is enough
    ablation = lehr("ablate", *run, "--techniques", "mosaic,ema", "--seeds", "2", cwd=tmp_path).stdout
    assert "6 runs of 9 epochs" in ablation and "without mosaic: seeds 0, 1" in ablation and "About" in ablation
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_budget_ends_with_what_is_known_and_the_same_command_goes_on(
    trains: bool, study_data: Path, tmp_path: Path
) -> None:
    arguments = ["ablate", "--data", str(study_data), *TINY, "--epochs", "2", "--techniques", "ema", "--seeds", "1"]
    cut = lehr(*arguments, "--hours", "0.0014" if trains else "0.0002", cwd=tmp_path).stdout
    folder = tmp_path / "runs" / "ablate"
    assert "The time is up" in cut and (folder / "report.html").is_file()
    assert len([row for row in rows(folder / "ablation.csv") if row["state"] == "finished"]) < 2
    whole = lehr(*arguments, cwd=tmp_path).stdout
    assert [row["state"] for row in rows(folder / "ablation.csv")] == ["finished"] * 2
    assert "one seed: no interval" in whole and "The time is up" not in whole


@pytest.mark.usefixtures("trains")
def test_another_space_under_the_same_name_is_refused_and_nothing_is_lost(study_data: Path, tmp_path: Path) -> None:
    base = ["evolve", "--data", str(study_data), *TINY, "--epochs", "2", "--trials", "1"]
    lehr(*base, cwd=tmp_path)
    folder = tmp_path / "runs" / "evolve"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db"}
    (tmp_path / "space.yaml").write_text("lr0: [0.001, 0.02]\n")
    result = lehr(*base, "--space", "space.yaml", cwd=tmp_path, code=2)
    assert "exists already, and has different settings" in result.stderr and "space parameters" in result.stderr
    result = lehr("ablate", *base[1:-2], "--techniques", "mosaic", "--name", "evolve", cwd=tmp_path, code=2)
    assert "lehr evolve" in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert [trial.state.name for trial in trials_of(f"sqlite:///{folder}/study.db")] == ["COMPLETE"]


@pytest.mark.usefixtures("trains")
def test_a_study_that_somebody_has_changed_ends_the_command_in_one_message(study_data: Path, tmp_path: Path) -> None:
    arguments = [
        "evolve",
        "--data",
        str(study_data),
        *TINY,
        "--epochs",
        "2",
        "--trials",
        "2",
        "--storage",
        "study.journal",
    ]
    ended(started([*arguments, "--hours", "0.000001"], tmp_path))
    journal, url = tmp_path / "study.journal", str(tmp_path / "study.journal")
    whole = journal.read_bytes()
    victim = tmp_path / "victim"
    (tmp_path / "runs" / "evolve" / "trials").mkdir(exist_ok=True)
    for key, value in (
        ("slot", 10**9),
        ("result", {"folder": "../../x"}),
        ("worker", f"host:{victim}"),
        ("attempt", "x"),
    ):
        set_attribute(url, "trial_user", key, value, trials=2)
        told = lehr(*arguments, cwd=tmp_path, code=2).stderr
        assert key in told and "study.journal" in told and told.count("lehr: ") == 1
        journal.write_bytes(whole)
    for line in (b"not JSON\n", b'{"op_code": 99, "worker_id": "x"}\n' * 2, b"[" * 100_000 + b"\n"):
        journal.write_bytes(whole + line + b'{"op_code": 1, "worker_id": "x", "study_id": 7}\n')
        assert "study.journal" in lehr(*arguments, cwd=tmp_path, code=2).stderr
    journal.write_bytes(whole)
    # Nothing of a hostile study was trained or written elsewhere, and the study as it was goes on.
    assert not victim.exists() and "trial 1 " in ended(started(arguments, tmp_path))

"""Help is fast and complete."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMANDS = [
    [],
    ["train"],
    ["val"],
    ["predict"],
    ["data"],
    ["doctor"],
    *(["data", c] for c in ("check", "stats", "split", "convert")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "lehr", *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Usage: lehr" in done.stdout and not done.stderr


def test_training_options_are_grouped_with_defaults_and_units() -> None:
    done = subprocess.run([sys.executable, "-m", "lehr", "train", "--help"], capture_output=True, text=True)
    for group in ("Data", "Model", "Schedule", "Loss", "Augmentation", "Run"):
        assert f"╭─ {group} ─" in done.stdout
    words = " ".join(done.stdout.replace("│", " ").split())
    for phrase in ("pixels", "degrees", "[default: 0.01]", "--warmup-epochs", "(unset: 640, for `shapes` 128)"):
        assert phrase in words


def test_help_does_not_load_torch_and_answers_at_once() -> None:
    code = (
        "import sys, lehr.cli.app as a\ntry: a.main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    best = min(_seconds() for _ in range(5))
    assert best < 0.3


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
    assert min(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(5)) < 0.05


def test_errors_are_imported_without_torch() -> None:
    code = "import sys\nfrom lehr import Diverged, InputError, LehrError, Stopped\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_told() -> None:
    done = subprocess.run([sys.executable, "-m", "lehr", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lehr 0.")

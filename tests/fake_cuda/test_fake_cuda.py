"""Training and validation on fake CUDA devices: no wait of the host, no wrong device, and not more work than allowed.

Nothing is computed, and no GPU is needed (see `benchmarks/fake_cuda`). The checks run in processes of their own, since
the stand-ins for CUDA's libraries must be there before torch is loaded; what they found is looked at here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.fake_cuda.stand_in import environment, missing
from tests.conftest import Once
from tests.fake_cuda import cases
from tests.fake_cuda.bounds import STEPS

ROOT = Path(__file__).parents[2]
WHY_NOT = missing()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")
Outcome = Callable[[str, str], dict[str, Any]]
"""What a check of a group came to."""


@pytest.fixture(scope="session")
def outcome(once: Once) -> Outcome:
    """The outcomes of all checks, for which one process is run in the test run, and one for the slow ones."""
    read: dict[bool, dict[str, Any]] = {}

    def found(group: str, name: str) -> dict[str, Any]:
        slow = cases.is_slow(group, name)
        if slow not in read:
            folder = once(f"fake-cuda-{slow}", lambda place: run(place, slow))
            if (folder / "why_not").exists():
                pytest.skip((folder / "why_not").read_text())
            lines = (folder / "found.json").read_text().splitlines()
            read[slow] = {group: checks for line in lines for group, checks in json.loads(line).items()}
        result: dict[str, Any] = read[slow][group][name]
        return result

    return found


def run(place: Path, slow: bool) -> None:
    """Run the checks, or the slow ones, and keep what they print; or why they cannot be run."""
    place.mkdir()
    try:
        variables = environment(place)
    except subprocess.CalledProcessError as error:
        (place / "why_not").write_text(f"the stand-in for the CUDA runtime cannot be built: {error.stderr}")
        return
    variables["PYTHONPATH"] = str(ROOT / "src")
    command = [sys.executable, "-m", "tests.fake_cuda.checks", *(["--slow"] if slow else []), *cases.GROUPS]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    if done.returncode == cases.NO_DEVICES:
        (place / "why_not").write_text(f"the stand-ins do not fit torch {torch.__version__}: {done.stderr}")
        return
    assert done.returncode == 0, done.stderr[-4000:]
    (place / "found.json").write_text(done.stdout)


def marked(group: str, name: str, *arguments: str) -> Any:
    """Arguments of a test of a check, which is slow where the check is."""
    marks = pytest.mark.slow if cases.is_slow(group, name) else ()
    return pytest.param(*(arguments or (group, name)), marks=marks)


@pytest.mark.parametrize(
    ("group", "name"), [marked(group, name) for group in cases.GROUPS[:-1] for name in cases.names(group)]
)
def test_nothing_waits_and_no_devices_mix(group: str, name: str, outcome: Outcome) -> None:
    assert "error" not in outcome(group, name), outcome(group, name)["error"]


@pytest.mark.parametrize(
    ("model", "switch"),
    [marked(model, f"step: {switch}", model, switch) for model, each in STEPS.items() for switch in each],
)
def test_a_step_does_no_more_work_than_before(model: str, switch: str, outcome: Outcome) -> None:
    stages = outcome(model, f"step: {switch}")["stages"]
    bounds = STEPS[model][switch]
    assert stages.keys() == bounds.keys()
    for stage, bound in bounds.items():
        for unit, found, most in zip(("launches", "GB", "GiB at most"), stages[stage], bound, strict=True):
            assert found <= most, f"{stage}: {found:.4g} {unit}, allowed {most:.4g}"


@pytest.mark.parametrize(
    "switch", [marked(cases.FIRST, f"{cases.CROWDED}: {switch}", switch) for switch in cases.SWITCHES]
)
def test_crowded_images_fit_a_card_of_24_gigabytes(switch: str, outcome: Outcome) -> None:
    stages = outcome(cases.FIRST, f"{cases.CROWDED}: {switch}")["stages"]
    assert max(gibibytes for _, _, gibibytes in stages.values()) <= 20  # the rest is for what libraries take


@pytest.mark.parametrize(("stage", "bound"), [("validation", (560, 27, 1.5)), ("suppression", (20, 0.4, 0.4))])
def test_an_evaluation_does_no_more_work_than_before(
    stage: str, bound: tuple[int, float, float], outcome: Outcome
) -> None:
    found = outcome(cases.FIRST, f"{stage}: kernels")["stages"][stage]
    assert all(each <= most for each, most in zip(found, bound, strict=True)), found


def test_the_whole_step_stays_within_its_goal(outcome: Outcome) -> None:
    """YOLOv8n, 64 images of 640 pixels, 100 objects each."""
    stages = outcome("yolov8n", "step: kernels")["stages"]
    assert sum(launches for launches, _, _ in stages.values()) <= 900
    assert sum(gigabytes for _, gigabytes, _ in stages.values()) <= 55


@pytest.mark.parametrize("name", [name for name in cases.names(cases.FAULTS) if name.startswith("wait")])
def test_a_wait_that_is_put_in_is_found(name: str, outcome: Outcome) -> None:
    assert outcome(cases.FAULTS, name).get("error", "").startswith("HostWait")


@pytest.mark.parametrize("name", cases.MISMATCHES)
def test_a_tensor_on_another_device_is_found(name: str, outcome: Outcome) -> None:
    assert outcome(cases.FAULTS, name).get("error", "").startswith("DeviceMismatch")


def test_a_kernel_that_lacks_an_argument_is_found(outcome: Outcome) -> None:
    assert "without ['count']" in outcome(cases.FAULTS, "kernel without an argument").get("error", "")

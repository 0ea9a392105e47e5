"""What findings mean: each fault of a machine is told, with a remedy; a sound machine gets no remark."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.doctor.findings import BUILD, CPU, CUDA, DATA, GIB, MACHINE, RUNS, SOUND

from lehr.doctor.devices import Device, Precision
from lehr.doctor.examine import Examination
from lehr.doctor.packages import Package
from lehr.doctor.report import READY, as_dict, text, verdict
from lehr.doctor.verdict import covers, problems, warnings

DEAD = (Precision("float32", False, True, None, None),)


def with_package(package: Package) -> Examination:
    return replace(SOUND, packages=(*SOUND.packages, package))


def with_devices(*devices: Device) -> Examination:
    return replace(SOUND, devices=devices)


PROBLEMS: dict[str, tuple[Examination, list[str]]] = {
    "a required package is missing": (
        with_package(Package("safetensors", None, "0.5", None, "missing")),
        ["safetensors is not installed", "pip install 'safetensors>=0.5'"],
    ),
    "a required package is too old": (
        with_package(Package("hotcoco", "1.2", "1.3", None, "too old")),
        ["hotcoco 1.2 is too old: 1.3", "pip install 'hotcoco>=1.3'"],
    ),
    "a required package does not load": (
        with_package(Package("torchvision", "0.20", "0.26", None, "broken", "RuntimeError: no operator nms")),
        ["torchvision 0.20 does not load", "no operator nms", "--force-reinstall torchvision"],
    ),
    "no device computes": (
        with_devices(replace(CUDA, precisions=DEAD), replace(CPU, precisions=DEAD)),
        ["no float32 step works on cuda:0, cpu", "--device"],
    ),
    "the only device is full": (
        with_devices(replace(CUDA, memory_free=GIB // 2)),
        ["cuda:0 has 0.5 GiB", "at least 1 GiB", "--device"],
    ),
    "memory is short": (
        replace(SOUND, machine=replace(MACHINE, memory_free=GIB // 4)),
        ["too little free memory: 0.2 GiB", "container"],
    ),
    "runs cannot be written": (
        replace(SOUND, disks=(DATA, replace(RUNS, error="Read-only file system"))),
        ["/work/runs cannot be written (Read-only file system)", "--project"],
    ),
}

WARNINGS: dict[str, tuple[Examination, list[str]]] = {
    "threads": (replace(SOUND, machine=replace(MACHINE, threads=1)), ["torch uses 1 of 8 cores"]),
    "a limit of cores": (replace(SOUND, machine=replace(MACHINE, core_limit=1.5)), ["1.5 cores", "8 threads"]),
    "modest memory": (replace(SOUND, machine=replace(MACHINE, memory_free=2 * GIB)), ["2.0 GiB of memory", "--batch"]),
    "shared memory": (
        replace(SOUND, machine=replace(MACHINE, shm_free=64 * 2**20)),
        ["/dev/shm has only 0.1 GiB", "--shm-size", "--workers 0"],
    ),
    "a cache that cannot be written": (
        replace(SOUND, disks=(replace(DATA, error="Permission denied"), RUNS)),
        ["/cache cannot be written (Permission denied)", "LEHR_CACHE"],
    ),
    "another cache than the data": (
        replace(SOUND, disks=(DATA, RUNS, replace(DATA, purpose="cache", folder="/other", error="No space"))),
        ["/other cannot be written (No space)", "LEHR_CACHE"],
    ),
    "a full disk": (replace(SOUND, disks=(DATA, replace(RUNS, free=GIB))), ["1.0 GiB free where runs", "--project"]),
    "an old GPU": (
        with_devices(replace(CUDA, capability=(6, 1)), CPU),
        ["cuda:0 has compute capability 6.1", "sm_75", "built for this GPU"],
    ),
    "a GPU that fails beside a CPU": (
        with_devices(replace(CUDA, precisions=DEAD), CPU),
        ["cuda:0: no float32 step works", "--device"],
    ),
    "a full GPU beside a CPU": (with_devices(replace(CUDA, memory_free=GIB // 2), CPU), ["cuda:0 has only 0.5 GiB"]),
    "a driver that torch cannot use": (
        replace(SOUND, build=replace(BUILD, trouble="the driver is too old")),
        ["NVIDIA driver (570.1)", "the driver is too old", "newer driver"],
    ),
    "OpenCV twice": (
        replace(SOUND, opencv=("opencv-python", "opencv-python-headless")),
        ["opencv-python and opencv-python-headless", "pip uninstall -y opencv-python opencv-python-headless"],
    ),
    "an old optional package": (
        with_package(Package("supervision", "0.1", "0.25", "supervision", "too old")),
        ["supervision 0.1 is older than 0.25", "pip install '.[supervision]'"],
    ),
}


def test_a_sound_machine_is_ready_and_gets_no_remark() -> None:
    assert problems(SOUND) == [] and warnings(SOUND) == []
    assert text(SOUND).splitlines()[-1] == READY
    assert "Problems" not in text(SOUND) and "Warnings" not in text(SOUND)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_fault_that_prevents_training_is_a_problem_and_the_verdict(name: str) -> None:
    found, words = PROBLEMS[name]
    (problem,) = problems(found)
    for word in words:
        assert word in f"{problem.what}. {problem.remedy}"
    assert warnings(found) == []
    lines = text(found).splitlines()
    assert lines[-1] == f"Training cannot run here: {problem.what}." and "Problems" in lines
    assert as_dict(found)["ready"] is False and as_dict(found)["problems"][0]["remedy"] == problem.remedy


@pytest.mark.parametrize("name", WARNINGS)
def test_a_fault_that_only_hampers_is_a_warning(name: str) -> None:
    found, words = WARNINGS[name]
    (warning,) = warnings(found)
    for word in words:
        assert word in f"{warning.what}. {warning.remedy}"
    assert problems(found) == [] and text(found).endswith(READY) and "Warnings" in text(found)


def test_several_problems_are_all_in_the_verdict() -> None:
    found = replace(PROBLEMS["memory is short"][0], disks=PROBLEMS["runs cannot be written"][0].disks)
    line = verdict(problems(found))
    assert "too little free memory" in line and "runs" in line and "\n" not in line


def test_data_that_cannot_be_written_are_no_fault_when_the_cache_can() -> None:
    found = replace(SOUND, disks=(replace(DATA, error="Read-only"), RUNS, replace(DATA, purpose="cache")))
    assert problems(found) == [] and warnings(found) == []


def test_a_build_covers_its_generation_and_code_to_compile_covers_later_ones() -> None:
    assert covers(["sm_80"], (8, 0)) and covers(["sm_80"], (8, 6))
    assert not covers(["sm_86"], (8, 0)) and not covers(["sm_80"], (9, 0)) and not covers(["sm_80"], (7, 5))
    assert covers(["compute_80"], (9, 0)) and not covers(["compute_90"], (8, 9))
    assert covers(["sm_90a", "sm_120"], (12, 0)) and not covers(["sm_90a"], (12, 0))
    assert covers([], (3, 5)) and covers(["gfx90a"], (9, 0))  # nothing is known, so nothing is wrong

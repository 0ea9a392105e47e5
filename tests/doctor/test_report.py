"""The text tells each finding in words, aligned; the JSON holds the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.doctor.findings import BUILD, CPU, CUDA, DATA, MACHINE, RUNS, SOUND

from lehr.doctor.compilation import Compilation
from lehr.doctor.devices import Precision
from lehr.doctor.examine import Examination
from lehr.doctor.packages import Package
from lehr.doctor.report import as_dict, text


def row(found: Examination, name: str, block: str = "") -> str:
    """The value of a row, of the first block whose title begins so."""
    after = text(found).partition(f"\n{block}" if block else "Versions")[2]
    line = next(line for line in after.splitlines() if line.strip().startswith(f"{name} "))
    return line.strip().removeprefix(name).strip()


@pytest.mark.parametrize(
    ("precision", "words"),
    [
        (Precision("bfloat16", True, True, 0.001, 2.0), "works, fast (2.0 x float32), 1 ms per step"),
        (Precision("bfloat16", True, True, 0.002, 1.0), "works, no faster (1.0 x float32), 2 ms per step"),
        (
            Precision("bfloat16", True, False, 2.5, 0.03),
            "works, slow (0.03 x float32), 2.5 s per step; the hardware has no instructions for it",
        ),
        (Precision("bfloat16", True, True, None, None), "works, not timed"),
        (Precision("bfloat16", False, False, None, None), "does not work"),
    ],
)
def test_a_precision_is_told_by_what_it_is_worth(precision: Precision, words: str) -> None:
    device = replace(CPU, precisions=(*CPU.precisions, precision))
    found = replace(SOUND, devices=(device,))
    assert row(found, "bfloat16") == words and row(found, "float32") == "works, 50 ms per step"


def test_devices_tell_memory_capability_and_compilation() -> None:
    found = replace(SOUND, compilations=(Compilation("cuda", False, None, None, "no Triton"), *SOUND.compilations))
    assert row(found, "name", "Device cuda:0") == "A GPU, compute capability 8.6"
    assert row(found, "memory", "Device cuda:0") == "20.0 GiB free of 24.0 GiB"
    assert row(found, "torch.compile") == "does not work: no Triton"
    assert row(SOUND, "torch.compile") == "works, 3.0 s for a tiny function"


def test_torch_tells_what_it_was_built_for_and_the_driver() -> None:
    assert row(SOUND, "torch") == "2.11.0, built for CUDA 12.8, cuDNN 9.1.0, NVIDIA driver 570.1"
    without = replace(BUILD, cuda=None, cudnn=None, driver=None)
    assert row(replace(SOUND, build=without), "torch") == "2.11.0, built without CUDA"


def test_disks_tell_where_and_how_they_were_measured() -> None:
    assert row(SOUND, "data", "Disks") == (
        "/cache; 50.0 GiB free; writes 500 MB/s, reads 1000 MB/s (dropped from memory before)"
    )
    assert "does not exist yet, measured in /work" in row(SOUND, "runs", "Disks")
    others = (replace(DATA, page_cache=True), replace(RUNS, same_as="data"))
    found = replace(SOUND, disks=others)
    assert "(may come from memory)" in row(found, "data", "Disks")
    assert row(found, "runs", "Disks").endswith("the same file system as data")


def test_folders_below_the_home_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/work"))
    assert row(SOUND, "runs", "Disks").startswith("~/runs; does not exist yet, measured in ~; ")
    assert row(SOUND, "data", "Disks").startswith("/cache; ")


def test_what_is_optional_and_missing_comes_with_its_command() -> None:
    found = replace(SOUND, packages=(*SOUND.packages, Package("supervision", None, "0.25", "supervision", "missing")))
    assert row(found, "supervision", "Optional, not installed") == "pip install '.[supervision]'"
    assert "Optional" not in text(SOUND)


def test_values_stand_in_one_column() -> None:
    lines = [line for line in text(SOUND).splitlines() if line.startswith("  ")]
    starts = {len(line) - len(line[2:].split("  ", 1)[1].lstrip()) for line in lines}
    assert len(starts) == 1


def test_what_a_system_does_not_tell_is_unknown() -> None:
    machine = replace(MACHINE, cpu=None, memory_total=None, memory_free=None, shm_total=None, shm_free=None)
    found = replace(SOUND, machine=machine, devices=(replace(CUDA, memory_free=None),))
    assert row(found, "memory", "Machine") == "unknown" and "/dev/shm" not in text(found)
    assert row(found, "memory", "Device") == "24.0 GiB"


def test_the_json_holds_every_finding() -> None:
    told = json.loads(json.dumps(as_dict(SOUND), allow_nan=False))
    assert told["ready"] is True and told["problems"] == [] and told["warnings"] == []
    assert told["devices"][0]["capability"] == [8, 6] and told["devices"][0]["precisions"][1]["speed"] == 2.0
    assert told["disks"][1]["folder"] == "/work/runs" and told["machine"]["cores"] == 8
    assert told["decoding"]["images_per_second"] == 300 and told["build"]["driver"] == "570.1"
    assert told["packages"][2] == {
        "name": "matplotlib",
        "version": "3.8",
        "min_version": "3.8",
        "extra": "plots",
        "state": "ok",
        "error": None,
    }

"""`lehr doctor`: 0 where a training can run, 1 where none can, 2 for bad options."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.doctor.findings import CPU, SOUND
from tests.processes import start_lehr

from lehr.cli.app import run
from lehr.doctor import compilation, decoding, devices, examine, machine
from lehr.doctor.compilation import Compilation
from lehr.doctor.devices import Precision
from lehr.doctor.packages import Package
from lehr.errors import InputError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings that take long are taken for granted."""
    sound = Compilation("cpu", True, 1.0, "/usr/bin/g++", None)
    monkeypatch.setattr(devices, "examine_device", lambda *_: CPU)
    monkeypatch.setattr(compilation, "examine_compilation", lambda _: sound)
    monkeypatch.setattr(decoding, "examine_decoding", lambda: SOUND.decoding)
    monkeypatch.setattr(machine, "examine_machine", lambda: SOUND.machine)
    monkeypatch.setattr("lehr.doctor.disk.SIZE", 2**20)
    monkeypatch.setattr(examine, "examine_packages", lambda: SOUND.packages)


def test_the_real_command_reports_this_machine(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.yaml").write_text("")
    options = ["--device", "cpu", "--data", "data/data.yaml", "--json", "found.json"]
    # What a compiler does is tried elsewhere, and takes longer than all the rest.
    env = {"LEHR_CACHE": str(tmp_path / "cache"), "CXX": "no-such-compiler"}
    files = {kind: tmp_path.with_name(f"{tmp_path.name}.{kind}") for kind in ("out", "err")}
    command = start_lehr("doctor", *options, folder=tmp_path, env=env, **files)
    assert command.wait() == 0 and not command.err, command.out + command.err
    assert command.out.endswith("\nReady to train.\n") and "\x1b" not in command.out
    for word in ("torch ", "float32", "bfloat16", "float16", "images/s", "MB/s", "GiB free", "no-such-compiler"):
        assert word in command.out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ready"] is True and found["problems"] == []
    (device,) = found["devices"]
    assert device["name"] == "cpu" and device["precisions"][0]["works"] and device["precisions"][0]["speed"] == 1
    assert [each["purpose"] for each in found["disks"]] == ["data", "runs", "cache"]
    assert found["disks"][0]["folder"] == str(tmp_path / "data") and found["disks"][1]["measured_in"] == str(tmp_path)
    assert found["decoding"]["images_per_second"] > 1 and found["machine"]["cores"] >= 1
    assert found["compilations"][0]["works"] is False and found["build"]["torch"]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "found.json"}  # neither runs nor cache were made


@pytest.mark.usefixtures("quick")
def test_a_sound_machine_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--project", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.endswith("Ready to train.\n")


@pytest.mark.usefixtures("quick")
def test_a_folder_of_runs_that_cannot_be_exits_with_1_and_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    assert run(["doctor", "--project", str(tmp_path / "runs"), "--json", str(tmp_path / "found.json")]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Training cannot run here: ") and str(tmp_path / "runs") in last and "is a file" in last
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["ready"] is False and "--project" in found["problems"][0]["remedy"]


@pytest.mark.usefixtures("quick")
def test_a_device_without_float32_exits_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = replace(CPU, precisions=(Precision("float32", False, True, None, None),))
    monkeypatch.setattr(devices, "examine_device", lambda *_: dead)
    assert run(["doctor", "--device", "cpu", "--project", str(tmp_path)]) == 1
    assert "no float32 step works on cpu" in capsys.readouterr().out.splitlines()[-1]


def test_a_missing_package_exits_with_1_and_nothing_that_needs_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = Package("torch", None, "2.11", None, "missing")
    monkeypatch.setattr(examine, "examine_packages", lambda: (missing,))
    assert run(["doctor", "--project", str(tmp_path), "--json", str(tmp_path / "found.json")]) == 1
    out = capsys.readouterr().out
    assert "torch is not installed" in out.splitlines()[-1] and "pip install 'torch>=2.11'" in out
    assert json.loads((tmp_path / "found.json").read_text())["devices"] == []


def test_a_missing_torch_is_told_without_loading_it(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\n"  # as if it were not there
        "from importlib import metadata\ntrue = metadata.version\n"
        "def version(name):\n"
        "    if name == 'torch': raise metadata.PackageNotFoundError(name)\n"
        "    return true(name)\n"
        "metadata.version = version\n"
        "from lehr.cli.app import main\nmain(['doctor'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "torch is not installed" in done.stdout.splitlines()[-1]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "cuda:99"], ["--device cuda:99"]),
        (["--device", "tpu"], ["--device tpu", "not a device"]),
        (["--data", "nowhere"], ["--data nowhere", "does not exist"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_bad_options_exit_with_2(options: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as raised:
        run(["doctor", *options])
    assert raised.value.exit_code == 2 and not capsys.readouterr().out
    for word in words:
        assert word in str(raised.value)


@pytest.mark.usefixtures("quick")
def test_a_json_file_that_cannot_be_written_exits_with_2_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as raised:
        run(["doctor", "--project", str(tmp_path), "--json", str(tmp_path / "nowhere" / "found.json")])
    assert raised.value.exit_code == 2 and "found.json" in str(raised.value)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("quick")
def test_the_cache_is_examined_beside_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    assert run(["doctor", "--data", str(tmp_path), "--project", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Warnings" in out and "Set LEHR_CACHE" in out

"""A sound machine, for tests to spoil."""

from __future__ import annotations

from lehr.doctor.build import Build
from lehr.doctor.compilation import Compilation
from lehr.doctor.decoding import Decoding
from lehr.doctor.devices import Device, Precision
from lehr.doctor.disk import Disk
from lehr.doctor.examine import Examination
from lehr.doctor.machine import Machine
from lehr.doctor.packages import Package

GIB = 2**30

MACHINE = Machine("A CPU", 8, 8, None, 8, 32 * GIB, 16 * GIB, 16 * GIB, 16 * GIB)
BUILD = Build("2.11.0", "12.8", None, "9.1.0", ("sm_75", "sm_80", "compute_120"), "570.1", None)
CPU = Device("cpu", "cpu", "A CPU", 32 * GIB, 16 * GIB, None, (Precision("float32", True, True, 0.05, 1.0),))
CUDA = Device(
    "cuda:0",
    "cuda",
    "A GPU",
    24 * GIB,
    20 * GIB,
    (8, 6),
    (Precision("float32", True, True, 0.002, 1.0), Precision("bfloat16", True, True, 0.001, 2.0)),
)
RUNS = Disk("runs", "/work/runs", "/work", None, 100 * GIB, 50 * GIB, 5e8, 1e9, False)
DATA = Disk("data", "/cache", "/cache", None, 100 * GIB, 50 * GIB, 5e8, 1e9, False)
SOUND = Examination(
    lehr="0.1.0",
    python="3.11.0",
    system="Linux",
    packages=(
        Package("torch", "2.11.0", "2.11", None, "ok"),
        Package("hotcoco", "1.3", "1.3", None, "ok"),
        Package("matplotlib", "3.8", "3.8", "plots", "ok"),
    ),
    opencv=("opencv-python-headless",),
    build=BUILD,
    machine=MACHINE,
    devices=(CUDA, CPU),
    compilations=(Compilation("cuda", True, 3.0, "/usr/bin/g++", None),),
    disks=(DATA, RUNS),
    decoding=Decoding(640, 480, 100_000, 300.0),
)

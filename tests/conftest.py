"""Places and data that many tests share."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""Those that the test run was given."""
os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, here and in every process started from here

with contextlib.suppress(ImportError):
    import readline  # noqa: F401  # sets both of these for processes started from here, but not in os.environ
for name in ("COLUMNS", "LINES"):  # of no terminal: lines are of any length, except where a test sets a width
    os.environ.pop(name, None)
    os.unsetenv(name)

os.environ["LEHR_REPORT"] = "off"  # of the thousand runs of the tests, those that look at their page switch it on


def keep_to_a_core() -> None:
    """Have this process of the test run, and whatever it starts, keep to a core: others may be busy on the rest."""
    if CORES:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        os.sched_setaffinity(0, {CORES[int(worker) % len(CORES)]})


if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported
    keep_to_a_core()
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell has it in the background, and all started from here
    signal.signal(signal.SIGINT, signal.default_int_handler)

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from tests.processes import end_forked, wait_for_no_disk

# Machines are shared, so no deadlines; where CI says so, the same examples each time.
settings.register_profile("lehr", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("lehr")
SHARED = Path(__file__).parents[2] / "shared"
LONG = tuple(f"tests/{room}/" for room in ("e2e", "examples", "distributed", "engine", "doctor"))
"""Rooms whose tests start processes or train."""
torch.set_num_threads(1)
wait_for_no_disk()


def pytest_configure(config: pytest.Config) -> None:
    """Keep to a core where the tests run in this process, not where it hands them out: workers inherit its cores."""
    if not config.getoption("numprocesses", None):
        keep_to_a_core()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the slow tests, unless `-m` asks for them; and puts rooms of long ones first, so that none is last."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    if "slow" not in (config.option.markexpr or ""):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_collection_finish() -> None:
    """Keep modules and tests from the garbage collector, or looking through them costs more than the tests do.

    And it is put off for as long, while the cycles that runs leave behind hold gigabytes. What is left is looked
    through less often than Python has it, since a run makes tens of thousands of objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 10, 5)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what a test printed or logged and UTF-8 has not: processes of a test run hand reports over in it."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of the test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


Once = Callable[[str, Callable[[Path], object]], Path]
"""Makes something once in the test run, in a folder by name, by a function that is given the folder."""


@pytest.fixture(scope="session")
def once(shared_folder: Path) -> Once:
    """Makes something by whichever process comes first, in a folder that nobody may change afterwards."""

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared_folder / name
        with FileLock(shared_folder / f"{name}.lock"):
            done = shared_folder / f"{name}.done"
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(shared_folder: Path) -> None:
    """Generated data goes to a folder of the test run, not to the user's."""
    os.environ.setdefault("LEHR_CACHE", str(shared_folder / "cache"))


@pytest.fixture(autouse=True)
def _own_processes() -> Iterator[None]:
    """No test leaves a process behind, nor denormal numbers that count as 0, as a command does in its own process."""
    yield
    end_forked()
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def bccd() -> Path:
    """364 photographs of blood cells in VOC layout."""
    folder = SHARED / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no data set in {folder}")
    return folder


def draw_squares(path: Path, boxes: list[tuple[int, int, int, int]], side: int = 64, seed: int = 0) -> None:
    """An image with a bright square for each box on dark noise; PNG or JPEG by its name."""
    image = np.random.default_rng(seed).integers(0, 60, (side, side, 3), dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


MakeYolo = Callable[..., Path]


def make_squares(root: Path, counts: dict[str, int], suffix: str = ".jpg") -> Path:
    """Makes a small YOLO data set: one square an image, its class by its side; returns the data YAML."""
    for split, count in counts.items():
        (root / "images" / split).mkdir(parents=True, exist_ok=True)
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            size = 16 if i % 2 == 0 else 28
            x, y = 4 + 3 * i % 20, 6 + 2 * i % 20
            seed = 1000 * len(split) + i + 7 * len(root.name)
            draw_squares(root / "images" / split / f"{i}{suffix}", [(x, y, x + size, y + size)], seed=seed)
            row = f"{i % 2} {(x + size / 2) / 64} {(y + size / 2) / 64} {size / 64} {size / 64}\n"
            (root / "labels" / split / f"{i}.txt").write_text(row)
    yaml = root / "data.yaml"
    yaml.write_text("train: images/train\nval: images/val\nnames: [small, large]\n")
    return yaml


@pytest.fixture
def make_yolo(tmp_path: Path) -> MakeYolo:
    """Makes a small data set of squares in a folder of the test; returns the data YAML."""

    def make(name: str = "data", counts: dict[str, int] | None = None, suffix: str = ".jpg") -> Path:
        return make_squares(tmp_path / name, counts or {"train": 6, "val": 4}, suffix)

    return make


@pytest.fixture(scope="session")
def trained_squares(once: Once) -> Path:
    """A folder with a data set of squares in `data`, and in `run` the run of a model that finds them."""

    def make(folder: Path) -> None:
        from tests.engine.runs import LEARNING, run

        make_squares(folder / "data", {"train": 24, "val": 16})
        many = make_squares(folder / "many", {"train": 144, "val": 16})
        run(many, folder, "run", epochs=6, batch=8, nominal_batch=8, lr0=0.008, mosaic=0, **LEARNING)

    return once("trained-squares", make)

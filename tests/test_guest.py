"""Lehr is a guest in the user's process: what it sets there, it puts back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import MakeYolo
from tests.processes import Forked

STATE = """
import ctypes, logging, multiprocessing, os, random, signal, sys, threading, warnings
import numpy as np
import torch


class Heap(ctypes.Structure):
    names = ("arena", "free", "small", "mapped")
    _fields_ = [*((name, ctypes.c_size_t) for name in names), ("rest", ctypes.c_size_t * 9)]


def mapped_from():
    "The smallest power of two of bytes for which malloc asks the system, as glibc does by default from 32 MiB at most."
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Heap
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    for power in range(26, 30):
        before, block = library.mallinfo2().mapped, library.malloc(2**power)
        after = library.mallinfo2().mapped
        library.free(block)
        if after > before:
            return power


def denormals():
    "The shares of denormal numbers that survive in this thread and in those of torch."
    small = torch.full((2**22,), 71362, dtype=torch.int32).view(torch.float32)  # 1e-40 by its bits
    pieces = (small * 1.0).view(torch.int32).chunk(8)
    return sys.float_info.min / 2 > 0, [float((each != 0).double().mean()) for each in pieces]


def state():
    # torch's launcher makes a logger for itself.
    names = [name for name in ["", *logging.root.manager.loggerDict] if not name.startswith("torchelastic")]
    loggers = {name: logging.getLogger(name) for name in names}
    return {
        "environment": dict(os.environ),
        "threads": torch.get_num_threads(),
        "parallel": torch.__config__.parallel_info(),
        "denormals": denormals(),
        "malloc": mapped_from() if hasattr(ctypes.CDLL(None), "mallinfo2") else None,
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "deterministic": (torch.get_deterministic_debug_mode(), torch.utils.deterministic.fill_uninitialized_memory),
        "precision": (torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.is_grad_enabled()),
        "random": hash(random.getstate()),
        "random of torch": hash(bytes(torch.get_rng_state())),
        "random of NumPy": hash(np.random.get_state()[1].tobytes()),
        # torch's loader of data sets SIGCHLD once and for all, to tell of its processes that were lost.
        "signals": {each: signal.getsignal(each) for each in signal.valid_signals() if each != signal.SIGCHLD},
        "loggers": {name: each.level for name, each in loggers.items() if each.level},
        "handlers": {name: list(each.handlers) for name, each in loggers.items() if each.handlers},
        "start": multiprocessing.get_start_method(allow_none=True),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "cores": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr, os.getcwd()),
        "warnings": [each for each in warnings.filters if each[2].__module__ == "builtins"],
    }


def differences(before):
    after = state()
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


"""


def alone(code: str, folder: Path) -> None:
    """Runs code in a process of its own, which has imported Lehr."""
    process = Forked(_execute, STATE + code, cwd=folder, out=folder / "alone.out", err=folder / "alone.err")
    assert process.wait() == 0, process.err


def _execute(code: str) -> None:
    exec(compile(code, "alone", "exec"), {"__name__": "__main__"})


def test_importing_the_detector_changes_nothing_in_the_process(tmp_path: Path) -> None:
    code = "before = state()\nfrom lehr import Detector\nassert not differences(before), differences(before)"
    done = subprocess.run([sys.executable, "-c", STATE + code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def used(make_yolo: MakeYolo) -> str:
    """Code with settings of the user's own, a tiny run's options, and a look at what holds at the end of a run."""
    return f"""
torch.set_num_threads(3)
torch.use_deterministic_algorithms(True, warn_only=True)
torch.backends.cudnn.benchmark = True
os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
signal.signal(signal.SIGTERM, lambda *_: None)
import cv2
from lehr import Detector
from lehr.errors import LehrError
data = {str(make_yolo())!r}
small = dict(data=data, epochs=1, imgsz=64, batch=4, width=0.125, depth=0.33, device="cpu")

during = []
class Look:
    error = None
    def on_train_epoch_start(self, event):
        during.append(state())
        if self.error:
            raise self.error
look = Look()
"""


def test_training_puts_back_what_it_sets(used: str, tmp_path: Path) -> None:
    code = """
before = state()
result = Detector("yolov8n").train(**small, workers=1, callbacks=[look])
assert not differences(before), differences(before)
inside = during[0]
assert inside["threads"] != 3 and inside["denormals"] == (False, [0.0] * 8) and inside["signals"] != before["signals"]
assert inside["malloc"] != before["malloc"] or before["malloc"] is None

Detector("yolov8n").train(resume=result.folder, epochs=2)
assert not differences(before), differences(before)
"""
    alone(used + code, tmp_path)


def test_a_run_that_fails_puts_back_what_it_set(used: str, tmp_path: Path) -> None:
    code = """
before = state()
for look.error in (ValueError("as code fails"), KeyboardInterrupt()):
    try:
        Detector("yolov8n").train(**small, callbacks=[look], strict_callbacks=True)
    except (LehrError, KeyboardInterrupt):
        pass
    else:
        raise AssertionError
    assert not differences(before), differences(before)
assert len(during) == 2 and all(inside["threads"] != 3 for inside in during)
"""
    alone(used + code, tmp_path)


@pytest.mark.slow
def test_several_processes_leave_the_one_that_started_them_as_it_was(used: str, tmp_path: Path) -> None:
    code = """
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig
before = state()
Detector("yolov8n").train(**small, processes=2)
assert not differences(before), differences(before)
"""
    alone(used + code, tmp_path)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("deterministic", [False, True])
def test_training_on_cuda_puts_back_the_choice_of_algorithms(used: str, tmp_path: Path, deterministic: bool) -> None:
    code = f"""
del os.environ["CUBLAS_WORKSPACE_CONFIG"]
torch.use_deterministic_algorithms({not deterministic}, warn_only=True)
torch.backends.cudnn.benchmark = torch.backends.cudnn.deterministic = {deterministic}
torch.utils.deterministic.fill_uninitialized_memory = True
generator = torch.cuda.get_rng_state()  # which starts CUDA
before = state()
del before["malloc"]  # CUDA's own blocks lie above those of the run, so that its addresses, not its memory, stay
best = Detector("yolov8n").train(**small | dict(device="cuda"), deterministic={deterministic}, callbacks=[look]).best
assert not differences(before), differences(before)
assert during[0]["cudnn"] != before["cudnn"] and during[0]["deterministic"] != before["deterministic"]
detector = Detector(best, device="cuda")
detector.val(data)
detector.predict(np.zeros((64, 64, 3), np.uint8))
assert not differences(before), differences(before)
assert torch.equal(torch.cuda.get_rng_state(), generator)
"""
    alone(used + code, tmp_path)


def test_loading_evaluating_and_predicting_change_nothing(used: str, tmp_path: Path) -> None:
    code = """
weights = Detector("yolov8n").train(**small).best
before = state()
detector = Detector.load(weights, device="cpu")
assert not differences(before), differences(before)
detector.val(data, workers=1)
assert not differences(before), differences(before)
detector.predict(np.zeros((64, 64, 3), np.uint8))
assert not differences(before), differences(before)
for _ in detector.stream([np.zeros((64, 64, 3), np.uint8)] * 2):
    assert not differences(before), differences(before)
"""
    alone(used + code, tmp_path)


def test_a_command_keeps_the_memory_that_it_has_tuned(tmp_path: Path) -> None:
    code = """
from lehr.runtime.malloc import tune_malloc, tuned_malloc
tune_malloc()
before = state()
with tuned_malloc():
    pass
assert before["malloc"] in (None, mapped_from()) and os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
assert 2**26 != before["malloc"]
"""
    alone(code, tmp_path)


def test_torchs_threads_follow_how_the_block_treats_denormals(tmp_path: Path) -> None:
    code = """
from lehr.runtime.process_state import preserve_process_state
torch.set_num_threads(2)
assert denormals() == (True, [1.0] * 8)
with preserve_process_state():
    torch.set_flush_denormal(True)
    assert denormals() == (False, [0.0] * 8)
assert denormals() == (True, [1.0] * 8)
torch.set_flush_denormal(True)
with preserve_process_state():
    torch.set_flush_denormal(False)
assert denormals()[0] is False
"""
    alone(code, tmp_path)


def test_a_block_that_sets_everything_leaves_nothing(tmp_path: Path) -> None:
    code = """
from lehr.runtime.environment import CHANGED
from lehr.runtime.device import set_deterministic
from lehr.runtime.process_state import LOGGER, preserve_process_state
os.environ[CHANGED[0]] = ":16:8"
for on in (True, False):
    set_deterministic(on)
    torch.use_deterministic_algorithms(on)
    torch.utils.deterministic.fill_uninitialized_memory = on
    before = state()
    with preserve_process_state():
        set_deterministic(not on)
        torch.utils.deterministic.fill_uninitialized_memory = not on
        for name in CHANGED:
            os.environ[name] = "changed"
        logging.getLogger(LOGGER).setLevel(logging.ERROR)
        os.environ["USERS"] = "set by a callback"
    assert list(differences(before)) == ["environment"] and os.environ.pop("USERS")
    assert not differences(before), differences(before)
"""
    alone(code, tmp_path)

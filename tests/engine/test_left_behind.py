"""What a run leaves in the process that made it: nothing, before garbage is collected too."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.engine.runs import on, run, stop_at

from lehr.errors import Stopped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")


def open_files() -> int:
    """Files that this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_run_leaves_no_model_no_processes_and_no_open_files(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 8, "val": 4})
    models: list[weakref.ref[Any]] = []
    processes: list[int] = []

    def note(event: Any) -> None:
        models.extend((weakref.ref(event.run.model), weakref.ref(event.run.averaged)))
        processes.append(len(multiprocessing.active_children()))

    run(data, tmp_path, "first", epochs=1, workers=1)  # what is imported and kept for good comes first
    before = open_files(), multiprocessing.active_children()
    gc.disable()
    try:
        with on("on_train_start", note):
            run(data, tmp_path, "whole", epochs=1, workers=1)
            with stop_at(1), pytest.raises(Stopped):
                run(data, tmp_path, "stopped", epochs=1, workers=1)
        assert all(model() is None for model in models)
        assert (open_files(), multiprocessing.active_children()) == before
        assert processes == [2, 2]
    finally:
        gc.enable()

"""Computing in torch's own modes, however a notebook has set them, and putting these back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import MakeYolo

from lehr.detector import Detector
from lehr.models.build import build_model
from lehr.runtime.process_state import default_modes
from lehr.weights.write import save_weights


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: default_device("meta"),
    "device by with": lambda: torch.device("meta"),
    "numpy": lambda: np.errstate(all="raise"),
}


def modes() -> tuple[object, ...]:
    made = torch.zeros(1)
    return (
        (made.dtype, made.device.type, (torch.ones(1, 1) @ torch.ones(1, 1)).dtype),
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), made.is_inference()),
        np.geterr(),
    )


@pytest.mark.parametrize("name", MODES)
def test_a_mode_of_the_user_s_is_put_aside_and_back(name: str) -> None:
    plain = modes()
    with MODES[name]():
        before = modes()
        assert before != plain
        with default_modes():
            assert modes() == plain
        assert modes() == before
        with pytest.raises(ValueError, match="as code fails"), default_modes():
            raise ValueError("as code fails")
        assert modes() == before
    assert modes() == plain


@pytest.mark.parametrize("name", ["float64", "inference", "device", "numpy"])
def test_a_detector_computes_the_same_in_any_mode(name: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    save_weights(build_model("yolov8n", ("small", "large"), 64, width=0.0625, depth=0.01), tmp_path / "w.safetensors")
    data, image = str(make_yolo(counts={"train": 1, "val": 2})), np.full((64, 64, 3), 90, np.uint8)
    plain = Detector.load(tmp_path / "w.safetensors", device="cpu")
    wanted, metrics = plain.predict(image, conf=0)[0], plain.val(data).metrics
    with MODES[name]():
        before = modes()
        inside = Detector.load(tmp_path / "w.safetensors", device="cpu")
        for detector in (plain, inside):
            np.testing.assert_array_equal(detector.predict(image, conf=0)[0].boxes, wanted.boxes)
            assert next(detector.stream([image], conf=0)).scores[0] == wanted.scores[0] and modes() == before
            assert detector.val(data).metrics == metrics
        assert not next(inside.model.parameters()).is_inference()
        assert modes() == before


def test_training_ends_with_the_same_weights_in_all_modes_at_once(make_yolo: MakeYolo, tmp_path: Path) -> None:
    options: dict[str, Any] = {"data": str(make_yolo()), "epochs": 1, "imgsz": 64, "batch": 4}
    options |= {"width": 0.0625, "depth": 0.01, "device": "cpu", "project": tmp_path / "runs", "amp": "off"}
    plain = Detector("yolov8n").train(**options, verbose=False).last.read_bytes()
    with ExitStack() as stack:
        for name in ("float64", "inference", "autocast", "device", "numpy"):
            stack.enter_context(MODES[name]())
        before = modes()
        assert Detector("yolov8n").train(**options, verbose=False).last.read_bytes() == plain
        assert modes() == before

"""Compiled steps of several processes: where one of them cannot compile, none does, and none waits for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.processes import together
from torch import Tensor

from lehr.data.batch import Batch
from lehr.distributed.group import joined
from lehr.engine.preflight import warm_up_compile
from lehr.engine.step import ForwardLoss
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.techniques.precision import Precision

CPU = torch.device("cpu")


def batch(seed: int) -> Batch:
    torch.manual_seed(seed)
    corner = torch.rand(2, 3, 2) * 30
    images, boxes = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8), torch.cat((corner, corner + 24), -1)
    return Batch(
        images, boxes, torch.zeros(2, 3, dtype=torch.int64), torch.arange(2), torch.zeros(2, 4), whole=(0, 1, 2, 3)
    )


def compile_and_step(failing: int) -> tuple[str, list[float]]:
    """Compile, which fails in one process, then compute a gradient together."""
    torch.set_num_threads(1)
    with joined(CPU, 60) as group, pytest.MonkeyPatch.context() as patch:

        def compiled(sums: Callable[..., Any], **_: Any) -> Callable[..., Any]:
            def launched(*given: Tensor) -> Any:
                if group.ranks.rank == failing:
                    raise RuntimeError("no compiler")
                return sums(*given)

            return launched

        patch.setattr(torch, "compile", compiled)
        torch.manual_seed(0)
        model = build_model("yolov8n", ("a", "b"), 64, depth=0.01, width=0.125)
        forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), 64), CPU)
        forward_loss.join(group.ranks)
        forward_loss.compile("default", 2)
        said: list[str] = []
        first = batch(group.ranks.rank)
        warm_up_compile("default", forward_loss, Precision.FLOAT32, lambda: first, said.append, group.ranks)
        model.train()
        torch.autograd.backward(forward_loss.parts(first, None, Precision.FLOAT32).sum())
        gradient = next(model.parameters()).grad
        assert gradient is not None
        return said[-1], gradient.flatten().tolist()


@pytest.mark.parametrize("failing", [-1, 1])
def test_processes_agree_whether_they_compile(failing: int, tmp_path: Path) -> None:
    (first, ours), (second, theirs) = together(2, compile_and_step, failing, folder=tmp_path).values()
    words = "compiled in" if failing < 0 else "continues uncompiled: no compiler"
    assert words in first and words in second
    assert ours == theirs and any(ours)

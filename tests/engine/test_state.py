"""Every part of a run's state comes back from a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import MakeYolo
from tests.engine.runs import SMALL

from lehr.checkpoint.packing import pack, unpack
from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.engine.setup import prepare
from lehr.engine.state import EpochSums, Recovery, TrainState
from lehr.engine.step import ForwardLoss
from lehr.evaluation.metrics import ClassMetrics, Metrics
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.options import LossOptions
from lehr.techniques.precision import Precision


def numbers(content: Any) -> tuple[str, list[list[float]]]:
    """What a checkpoint holds, to compare."""
    blocks, text = pack(content)
    return text, [block.double().tolist() for block in blocks]


def far_into_a_run(state: TrainState) -> TrainState:
    """The state with every part other than a new one's."""
    state.use_precision(Precision.FLOAT16, 512.0)
    assert state.scaler is not None and state.ema is not None
    state.scaler.scale(torch.ones(()))
    for _ in range(2):  # a step, and gradients that add up for the next one
        for parameter in state.model.parameters():
            parameter.grad = torch.full_like(parameter, 0.25) if parameter.requires_grad else None
        if state.ema.updates == 0:
            state.optimizer.step()
            state.ema.update()
    state.step, state.epoch, state.last_update = 7, 2, 5
    state.finite = torch.zeros((), dtype=torch.bool)
    state.class_maps = (0.25, 0.5)
    state.stopping.update(1, 0.375)
    state.sums = EpochSums(
        torch.arange(4.0), images=5, instances=6, replaced=1, skipped=2, updates=7, norms=8.5, clipped=3, seconds=3.5
    )
    state.recovery = Recovery(skipped=4, streak=1, rollbacks=2, lr_scale=0.25)
    state.history = [{"epoch": 1, "train/box": 0.5, "val/map": None}]
    nothing = dict.fromkeys(Metrics.__slots__)
    classes = {"small": ClassMetrics(0.1, 0.2, 0.15, 0.25, 0.3, 0.4, 0.5, 6)}
    state.best_metrics = Metrics(**{**nothing, "map": 0.5, "images": 3, "classes": classes})
    state.seconds, state.finished = 12.5, True
    return state


def test_everything_comes_back(make_yolo: MakeYolo, tmp_path: Path) -> None:
    config = build_config({"data": str(make_yolo()), **SMALL, "amp": "off"})
    new, other = (prepare(config, tmp_path).state for _ in range(2))
    fresh = {name: numbers(part) for name, part in other.state_dict().items()}
    saved = {name: numbers(part) for name, part in far_into_a_run(new).state_dict().items()}
    assert [name for name in fresh if fresh[name] == saved[name]] == []  # else a part could stay away unnoticed
    other.load_state_dict(unpack(*pack(new.state_dict())))
    assert [name for name, part in other.state_dict().items() if numbers(part) != saved[name]] == []
    assert (other.stopping.best, other.stopping.best_epoch) == (0.375, 1) and other.precision is Precision.FLOAT16


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n"])
def test_a_share_of_a_batch_weighs_as_a_part_of_all_its_images(name: str) -> None:
    model = build_model(name, ("a", "b"), 64, depth=0.01, width=0.125).eval()
    forward_loss = ForwardLoss(model, build_loss(model, LossOptions(), 64), torch.device("cpu"))
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes = torch.tensor([[[4.0, 4, 40, 30]], [[20, 10, 60, 62]]])
    batch = Batch(images, boxes, torch.tensor([[0], [1]]), torch.arange(2), torch.ones(2, 4))
    with torch.no_grad():
        alone = forward_loss.parts(batch, None, Precision.FLOAT32)
        share = forward_loss.parts(replace(batch, whole=tuple(range(6))), None, Precision.FLOAT32)
    torch.testing.assert_close(share, 3 * alone)  # the loss is the mean of an image times all images of the batch

"""Frozen layers keep weights and statistics; the others learn."""

from __future__ import annotations

import pytest
import torch

from lehr.errors import InputError
from lehr.losses.build import build_loss
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.options import LossOptions
from lehr.techniques.auto import choose_optimizer
from lehr.techniques.freezing import freeze, freeze_bn_stats, frozen_prefixes
from lehr.techniques.optimizer import build_optimizer


def small(name: str = "yolov5n") -> DetectionModel:
    return build_model(name, ("a", "b"), 64, width=0.125)


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_frozen_layers_do_not_move_nor_do_their_statistics(name: str) -> None:
    model = small(name)
    frozen = freeze(model, "3")
    names = {n for n, p in model.named_parameters() if not p.requires_grad and "dfl" not in n}
    assert frozen == len(names) and {n.split(".")[1] for n in names} == {"0", "1", "2"}
    before = {n: value.clone() for n, value in model.state_dict().items()}
    optimizer = build_optimizer(model, choose_optimizer("SGD", classes=2, images=1, epochs=1), 5e-4)
    model.train()
    freeze_bn_stats(model)
    loss = build_loss(model, LossOptions(), 64)
    boxes = torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]).repeat(2, 1, 1)
    torch.autograd.backward(loss(model(torch.rand(2, 3, 64, 64)), boxes, torch.zeros(2, 1, dtype=torch.int64)).sum())
    optimizer.step()
    after = model.state_dict()
    moved = {n for n, value in before.items() if not torch.equal(value, after[n])}
    assert not any(n.startswith(("model.0.", "model.1.", "model.2.")) for n in moved)
    assert any("running_mean" in n for n in moved) and any(n.endswith("conv.weight") for n in moved)


def test_layers_are_named_by_count_or_by_name() -> None:
    model = small()
    assert frozen_prefixes(model, "2") == ("model.0.", "model.1.")
    assert frozen_prefixes(model, "model.4, model.2.cv1.conv.weight") == ("model.4.", "model.2.cv1.conv.weight")
    freeze(model, "model.1,model.24.m.0.bias")
    names = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert names == {"model.1.conv.weight", "model.1.bn.weight", "model.1.bn.bias", "model.24.m.0.bias"}


def test_an_unknown_layer_is_refused_with_the_nearest_names_and_so_is_freezing_everything() -> None:
    with pytest.raises(InputError, match=r"model\.4\.cv9.*model\.4\.cv"):
        freeze(small(), "model.4.cv9")
    with pytest.raises(InputError, match="has 25 layers"):
        freeze(small(), "26")
    with pytest.raises(InputError, match="nothing is left to train"):
        freeze(small(), "25")

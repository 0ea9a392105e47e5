"""Convolution and BatchNorm as one: the same detector but for rounding, in every family."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.models.fuse import FusedCopy, fuse

NAMES = ("one", "two")


def _settled(name: str) -> DetectionModel:
    """A small model whose BatchNorm has statistics and weights that are not those of the start."""
    model = build_model(name, NAMES, 64, width=0.125, depth=0.33)
    draw = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            for tensor, low in ((module.running_mean, -0.2), (module.running_var, 0.5), (module.weight, 0.5)):
                tensor.data.uniform_(low, 1.5 if low > 0 else 0.2, generator=draw)
            module.bias.data.uniform_(-0.5, 0.5, generator=draw)
    return model.eval()


def _decoded(model: DetectionModel, images: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        boxes, scores = model(images).decode()
    return boxes, scores


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_a_fused_model_decodes_to_the_same_but_for_rounding(name: str) -> None:
    model = _settled(name).double()
    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    fused = fuse(model)
    assert not [module for module in fused.modules() if isinstance(module, nn.BatchNorm2d)]
    for one, other in zip(_decoded(model, images), _decoded(fused, images), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_model_itself_stays_as_it_was() -> None:
    model = _settled("yolov8n")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused = fuse(model)
    with torch.no_grad():
        for parameter in fused.parameters():
            parameter.zero_()
    after = model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_batch_norm_behind_a_convolution_in_a_row_of_layers_is_folded_and_other_stays() -> None:
    model = _settled("yolov8n")
    row = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.SiLU(), nn.BatchNorm2d(4)).eval()
    model.model.append(row)
    fused = fuse(model).model[-1]
    assert [type(layer) for layer in fused.children()] == [nn.Conv2d, nn.Identity, nn.SiLU, nn.BatchNorm2d]


def test_a_copy_is_kept_until_a_number_of_the_model_changes() -> None:
    model, copies = _settled("yolov8n"), FusedCopy()
    first = copies.of(model)
    assert copies.of(model) is first
    with torch.no_grad():
        model.head.get_parameter("cv3.0.2.bias").add_(1)
    second = copies.of(model)
    assert second is not first
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(_decoded(model, images), _decoded(second, images), rtol=1e-3, atol=1e-3)


def test_a_model_that_a_hook_watches_computes_itself() -> None:
    model = _settled("yolov8n")
    model.model[0].register_forward_hook(lambda *_: None)
    assert FusedCopy().of(model) is model

"""Optimizers are torch's, over three groups of parameters; `auto` chooses by the length of the run."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from lehr.models.build import build_model
from lehr.techniques.auto import choose_optimizer, nominal_batch_for, published_iterations
from lehr.techniques.optimizer import build_optimizer, load_optimizer, parameter_groups, set_rates


def test_auto_takes_adamw_for_short_runs_and_sgd_for_long_ones_and_what_is_given_wins() -> None:
    short = choose_optimizer("auto", classes=3, images=205, epochs=40)
    assert (short.name, short.lr0, short.momentum, short.warmup_bias_lr) == ("AdamW", 0.001429, 0.9, 0.0)
    long = choose_optimizer("auto", classes=3, images=6401, epochs=100)
    assert (long.name, long.lr0, long.momentum, long.warmup_bias_lr) == ("SGD", 0.01, 0.9, 0.1)
    given = choose_optimizer("auto", classes=3, images=1, epochs=1, lr0=0.5, momentum=0.3, warmup_bias_lr=0.2)
    assert (given.lr0, given.momentum, given.warmup_bias_lr) == (0.5, 0.3, 0.2)
    assert choose_optimizer("SGD", classes=3, images=1, epochs=1).momentum == 0.937
    names = ("SGD", "Adam", "RAdam", "RMSProp")
    rates = {name: choose_optimizer(name, classes=6, images=1, epochs=1).lr0 for name in names}
    assert rates == {"SGD": 0.01, "Adam": 0.001, "RAdam": 0.001, "RMSProp": 0.0001}


@pytest.mark.parametrize(
    ("images", "epochs", "batch", "iterations"),
    [
        (1600, 100, 16, 2500),
        (1601, 100, 16, 2600),
        (5000, 100, 16, 7900),
        (5000, 100, 64, 7900),
        (801, 100, 8, 1300),
        (1000, 300, 16, 4800),
        (6400, 100, 16, 10_000),
        (6401, 100, 16, 10_100),
        (12_000, 100, 128, 9400),
        (10, 30, 16, 30),
    ],
)
def test_auto_counts_iterations_of_64_images_as_the_published_rule_does(
    images: int, epochs: int, batch: int, iterations: int
) -> None:
    assert published_iterations(images, batch, epochs) == iterations
    for nominal in (None, 1, 256):  # switching accumulation leaves the optimizer
        choice = choose_optimizer("auto", classes=3, images=images, epochs=epochs, batch=batch, nominal_batch=nominal)
        assert choice.name == ("SGD" if iterations > 10_000 else "AdamW")


def test_auto_accumulates_less_where_the_run_would_make_few_optimizer_steps() -> None:
    assert nominal_batch_for(100_000, batch=16) == 64
    assert nominal_batch_for(4_000, batch=16) == 64  # exactly 1,000 steps of 64
    assert nominal_batch_for(3_999, batch=16) == 32
    assert nominal_batch_for(520, batch=16) == 16
    assert nominal_batch_for(10, batch=24) == 24
    assert nominal_batch_for(10, batch=256) == 64  # never above 64: a batch is a step then anyway
    run = {"classes": 3, "images": 205, "epochs": 40}
    assert choose_optimizer("auto", **run, batch=16).nominal_batch == 16
    assert choose_optimizer("SGD", **run, batch=16).nominal_batch == 64
    assert choose_optimizer("auto", **run, batch=16, nominal_batch=48).nominal_batch == 48


def test_parameters_are_weights_norms_and_biases_each_once_and_only_weights_decay() -> None:
    model = build_model("yolov8n", ("a", "b"))
    groups = parameter_groups(model)
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert sum(map(len, groups.values())) == len(trainable)
    assert all(p.ndim == 4 for p in groups["weights"]) and all(p.ndim == 1 for p in groups["norms"] + groups["biases"])
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert len(groups["norms"]) == norms and len(groups["biases"]) == norms + 6
    optimizer = build_optimizer(model, choose_optimizer("SGD", classes=2, images=1, epochs=1), 0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0, 0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SGD", torch.optim.SGD),
        ("Adam", torch.optim.Adam),
        ("AdamW", torch.optim.AdamW),
        ("RMSProp", torch.optim.RMSprop),
        ("NAdam", torch.optim.NAdam),
        ("RAdam", torch.optim.RAdam),
    ],
)
def test_optimizers_are_torch_and_take_rates_and_momentum(name: str, kind: type) -> None:
    model = build_model("yolov8n", ("a",))
    optimizer = build_optimizer(model, choose_optimizer(name, classes=1, images=1, epochs=1), 0)
    assert isinstance(optimizer, kind)
    set_rates(optimizer, (0.1, 0.2, 0.3), 0.77)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2, 0.3]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3) if parameter.requires_grad else None
    before = model.model[0].conv.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(before, model.model[0].conv.weight)
    for group in optimizer.param_groups:
        assert (group["betas"][0] if "betas" in group else group["momentum"]) == 0.77


@pytest.mark.parametrize("name", ["RMSProp", "NAdam", "RAdam"])
def test_steps_are_counted_where_the_weights_are_whatever_device_a_state_is_from(name: str) -> None:
    choice = choose_optimizer(name, classes=1, images=1, epochs=1)
    layer = nn.Conv2d(1, 1, 1)
    here = build_optimizer(layer, choice, 0.0)
    layer(torch.ones(1, 1, 1, 1)).sum().backward()
    here.step()
    with FakeTensorMode(allow_non_fake_inputs=True):
        parameter = nn.Parameter(torch.empty(1, 1, 1, 1, device="cuda:0"))
        there = build_optimizer(nn.ParameterList([parameter]), choice, 0.0)
    assert [group["capturable"] for group in there.param_groups] == [True] * 3
    saved = here.state_dict()
    for group in saved["param_groups"]:
        group["capturable"] = True  # as of a run on CUDA
    load_optimizer(here, saved)
    assert [group["capturable"] for group in here.param_groups] == [False] * 3
    here.step()


def test_sgd_steps_as_nesterov_momentum_does() -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    optimizer = build_optimizer(
        layer, choose_optimizer("SGD", classes=1, images=1, epochs=1, lr0=0.1, momentum=0.5), 0.0
    )
    weight, velocity = 1.0, 0.0
    for gradient in (2.0, -1.0, 3.0):
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        optimizer.step()
        velocity = 0.5 * velocity + gradient
        weight -= 0.1 * (gradient + 0.5 * velocity)
        assert layer.weight.item() == pytest.approx(weight, rel=1e-6)

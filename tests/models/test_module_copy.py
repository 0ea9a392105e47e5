"""A copy of a model is what `copy.deepcopy` makes of it."""

from __future__ import annotations

import copy
from collections import OrderedDict
from hashlib import sha256
from typing import Any

import pytest
import torch
from torch import nn

from lehr.models.build import build_model
from lehr.models.module_copy import copy_module
from lehr.techniques.non_finite import Statistics


def described(value: Any, seen: dict[int, int]) -> Any:
    """A value as what can be compared: kinds, numbers, and which parts are the same object or share memory."""
    if isinstance(value, torch.Tensor):
        place = seen.setdefault(value.untyped_storage().data_ptr(), len(seen))
        numbers = sha256(value.detach().numpy().tobytes()).hexdigest()
        return type(value), place, value.storage_offset(), value.stride(), value.requires_grad, numbers
    if id(value) in seen:
        return "again", seen[id(value)]
    if isinstance(value, nn.Module):
        seen[id(value)] = len(seen)
        return type(value), described(vars(value), seen)
    if isinstance(value, dict):
        seen[id(value)] = len(seen)
        return type(value), [(name, described(each, seen)) for name, each in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [described(each, seen) for each in value]
    return type(value), repr(value)


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_a_copy_is_a_deep_copy(name: str) -> None:
    model = build_model(name, ("a", "b"), 64, width=0.125, depth=0.33).train()
    Statistics(model)  # after which its buffers share a block of memory
    ours, expected = copy_module(model), copy.deepcopy(model)
    assert described(ours, {}) == described(expected, {})
    theirs = {id(value) for part in model.modules() for value in vars(part).values() if isinstance(value, dict | set)}
    own = {id(value) for part in ours.modules() for value in vars(part).values() if isinstance(value, dict | set)}
    assert not theirs & own
    assert not {each.data_ptr() for each in model.parameters()} & {each.data_ptr() for each in ours.parameters()}


def test_hooks_and_tables_that_are_shared_are_copied_as_such() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    called: list[nn.Module] = []
    model[0].register_forward_hook(lambda module, given, answer: called.append(module))
    model[0].shared = model[1].shared = OrderedDict()  # type: ignore[assignment]
    ours = copy_module(model)
    assert ours[0].shared is ours[1].shared and ours[0].shared is not model[0].shared
    ours(torch.zeros(1, 2))
    ours[1].register_forward_hook(lambda module, given, answer: called.append(module))
    model(torch.zeros(1, 2))
    assert len(called) == 2 and called[0] is ours[0] and called[1] is model[0]

"""Copies of models, several times as fast as `copy.deepcopy` alone."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any, TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def copy_module(module: Model) -> Model:
    """Return a deep copy of a module.

    Most of what a deep copy rebuilds are the empty tables of hooks, of which each layer has more than a dozen; they are
    passed to `copy.deepcopy` as already copied.

    Args:
        module: with tensors on any device; shared parts are shared in the copy, too.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            if type(value) in (OrderedDict, dict, set) and not value:
                memo[id(value)] = type(value)()
    return copy.deepcopy(module, memo)

"""Convolution and BatchNorm fused into one convolution, for faster inference.

`w' = w gamma / sqrt(var + eps)`, `b' = (b - mean) gamma / sqrt(var + eps) + beta` (Ioffe & Szegedy, 2015): equal except
for rounding, with one pass less over the features per layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lehr.models.blocks import Conv
from lehr.models.detection import DetectionModel
from lehr.models.module_copy import copy_module
from lehr.models.network import Network


def fuse(model: DetectionModel) -> DetectionModel:
    """Return a copy of a model for inference, in eval mode, in which BatchNorm is folded into the convolutions.

    It folds the layers `Conv` of every family, and in a `nn.Sequential` each BatchNorm that follows a convolution;
    other layers of a package's family are unchanged. Names of layers and convolutions stay.

    Args:
        model: of any family; not changed, and its copy shares no memory with it.
    """
    fused = copy_module(model).eval().requires_grad_(False)
    for module, conv_name, norm_name in list(_pairs(fused)):
        conv, norm = getattr(module, conv_name), getattr(module, norm_name)
        setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
        setattr(module, norm_name, nn.Identity())
    return fused


def _pairs(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield each module that computes a convolution and then BatchNorm, with the names of the two in it."""
    for module in model.modules():
        names: list[tuple[str, str]] = []
        if isinstance(module, Conv):
            names = [("conv", "bn")]
        elif type(module) is nn.Sequential:
            children = list(module._modules)
            names = list(itertools.pairwise(children))
        for conv_name, norm_name in names:
            if _folds(getattr(module, conv_name), getattr(module, norm_name)):
                yield module, conv_name, norm_name


def _folds(conv: nn.Module, norm: nn.Module) -> bool:
    """Return whether two modules are a convolution and a BatchNorm of running statistics, without hooks."""
    return (
        type(conv) is nn.Conv2d
        and isinstance(norm, nn.BatchNorm2d)
        and norm.track_running_stats
        and norm.running_mean is not None
        and not any((each._forward_hooks or each._forward_pre_hooks) for each in (conv, norm))
    )


class FusedCopy:
    """Cache of the fused copy of a model, rebuilt when the model's weights change."""

    def __init__(self) -> None:
        self._state: tuple[object, ...] | None = None
        self._fused: DetectionModel | None = None

    def of(self, model: Network) -> Network:
        """Return the fused copy of a model; a model with hooks, and an export, is returned itself.

        Args:
            model: in eval mode, on any device.
        """
        if not isinstance(model, DetectionModel):
            return model
        if any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()):
            return model
        state = (id(model), *map(_version, (*model.parameters(), *model.buffers())))
        if self._fused is None or state != self._state:
            self._fused = None  # before the next is built: both at once would take twice the memory
            with torch.inference_mode(False), torch.no_grad():
                self._state, self._fused = state, fuse(model)
        return self._fused


def _version(tensor: Tensor) -> tuple[int, int, torch.dtype]:
    """Return a key that changes with a tensor's values: its address, version and type."""
    return tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version, tensor.dtype

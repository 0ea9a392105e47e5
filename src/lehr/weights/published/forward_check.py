"""A forward pass with weights that came in, so that a model that cannot predict is refused where it is read.

The weights stay in the type that the file stores them in, half precision mostly; each layer computes in float32, and
has its weights in float32 only meanwhile. So a check takes little more memory than the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lehr.models.detection import DetectionModel
from lehr.weights.published.stand_in import Refused

SIDE = 64
"""Side of the image, pixels: two cells of the deepest level."""


def check_forward(model: DetectionModel, tensors: Mapping[str, Tensor]) -> None:
    """Predict a fixed image, and check that weights, boxes and scores are finite.

    Args:
        model: the model without weights (`build_without_memory`), to which the tensors are given; of no use afterwards.
        tensors: its tensors by name, floating or integer, of its shapes.

    Raises:
        Refused: some number is not finite.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise Refused(f"{name} holds numbers that are not finite, as of a training that diverged.")
    model.load_state_dict(dict(tensors), strict=False, assign=True)
    model.requires_grad_(False).eval()
    for module in model.modules():
        if module._parameters or module._buffers:
            weights = _Float32(module)
            module.register_forward_pre_hook(weights.convert)
            module.register_forward_hook(weights.restore)
    values = torch.arange(3 * SIDE * SIDE, dtype=torch.float32) * 0.618034 % 1
    with torch.inference_mode():
        boxes, scores = model(values.view(1, 3, SIDE, SIDE)).decode()
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise Refused("predicts numbers that are not finite for a fixed image, so its weights are damaged.")


class _Float32:
    """Weights of a layer in float32, for as long as it computes.

    Args:
        module: the layer.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._stored = (dict(module._parameters), dict(module._buffers))

    def convert(self, *_: Any) -> None:
        """Replace what is stored by float32."""
        for table in (self._module._parameters, self._module._buffers):
            for name, tensor in table.items():
                if tensor is not None and tensor.is_floating_point() and tensor.dtype is not torch.float32:
                    table[name] = tensor.float()  # type: ignore[assignment]  # no gradients are needed

    def restore(self, *_: Any) -> None:
        """Put what is stored back, and so give the memory back."""
        parameters, buffers = self._stored
        self._module._parameters.update(parameters)
        self._module._buffers.update(buffers)

"""The first stage, or layer, at which an export diverges from its model.

Both get the same images. What they compute is compared if it can be named: the input as prepared (size, padding, range,
order of the colours); each convolution of the network, what goes in and what comes out; the decoding; the suppression.
A convolution whose input agrees and whose output does not is itself at fault; one whose input parts has something at
fault before it. Tools that compare layers, such as Polygraphy and ONNX Runtime's, do so by names as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lehr.backends.exported_network import ExportedNetwork
from lehr.backends.runtime import LayerValues
from lehr.data.batch import Batch
from lehr.export.tolerance import Tolerance
from lehr.models.detection import DetectionModel
from lehr.models.fuse import fuse
from lehr.models.network import PADDING

SAME_INPUT = 1e-6
"""Difference of pixels, 0 to 1, up to which two inputs are the same."""
SPREAD = 2e-3
"""Spread of the ratio of two tensors up to which one is a multiple of the other."""
ORDERS = {(2, 1, 0): "blue, green, red"}
"""Orders of the colours that are tried."""


@dataclass(frozen=True, slots=True)
class Parting:
    """The place where an export parts.

    Attributes:
        stage: input, network, decoding or suppression.
        layer: the layer of the network; empty for another stage.
        what: a sentence for people.
        difference: the largest at that place, in shares of the largest value; of the input, 0 to 1.
    """

    stage: str
    layer: str
    what: str
    difference: float

    def describe(self) -> str:
        """One line: the stage, and what is at fault in it."""
        return f"First to part: {self.stage}{f', {self.layer}' if self.layer else ''}. {self.what}"


@torch.inference_mode()
def find_parting(
    model: DetectionModel, export: ExportedNetwork, batches: tuple[Batch, Batch], tolerance: Tolerance
) -> Parting:
    """Find the first stage at which an export diverges from its model.

    Args:
        model: on the CPU, in eval mode.
        export: what was made of it.
        batches: the same images as the model and as the export prepare them.
        tolerance: what counts as a difference.
    """
    own, others = batches[0].normalized(), export.prepared(batches[1].normalized())
    found = _of_input(own, others, export)
    if found is not None:
        return found
    count = export.fixed_batch
    images = own if count is None else own[torch.arange(count) % len(own)]
    layers = {layer.name: layer for layer in export.runtime.layers(images.to(export.device))}
    found = _of_network(model, images, layers, tolerance)
    if found is not None:
        return found
    if export.suppression is not None:
        return Parting("suppression", "", "All layers agree, and the detections do not.", 0.0)
    return _of_decoding(model, export, images, tolerance)


def _of_input(own: Tensor, others: Tensor, export: ExportedNetwork) -> Parting | None:
    """Compare images as they are prepared."""
    if own.shape != others.shape:
        sizes = f"{others.shape[3]} x {others.shape[2]} pixels, those of the model {own.shape[3]} x {own.shape[2]}"
        return Parting("input, size", "", f"Images of the export have {sizes}.", 1.0)
    difference = _largest(own - others)
    if export.padding != PADDING:
        what = f"The export pads images with {export.padding}, the model with {PADDING}."
        return Parting("input, padding", "", what, difference)
    if difference <= SAME_INPUT:
        return None
    ratio = _multiple(others, own)
    if ratio is not None:
        return Parting("input, range", "", f"The export takes {ratio:.4g} times the values.", difference)
    return Parting("input, pixels", "", "The export gets other pixels.", difference)


def _of_network(
    model: DetectionModel, images: Tensor, layers: dict[str, LayerValues], tolerance: Tolerance
) -> Parting | None:
    """Compare the convolutions in the order in which the model computes them."""
    before, grown = "the input", (0.0, "")
    reference = fuse(model)
    with _watched(reference) as seen:
        reference(images)
    for name, (conv, taken, given) in seen.items():
        layer = layers.get(name)
        if layer is None:
            continue
        found = _of_layer(name, conv, (taken, given), layer, before, tolerance.layer)
        if found is not None:
            return found
        entering, leaving = _relative(taken, layer.taken), _relative(given, layer.given)
        grown = max(grown, (leaving - entering, name))
        before = name
    if tolerance.boxes is None and grown[1]:  # each layer of int8 parts a little; the one that parts most is named
        what = f"Its output parts by {grown[0]:.1%} more than its input: it loses most by int8."
        return Parting("network", grown[1], what, grown[0])
    return None


def _of_layer(
    name: str, conv: nn.Conv2d, own: tuple[Tensor, Tensor], layer: LayerValues, before: str, bound: float
) -> Parting | None:
    """Compare one convolution: what goes in, and what comes out."""
    taken, given = own
    entering = _relative(taken, layer.taken)
    if entering > bound:
        what = _of_colours(taken, layer.taken)
        if before == "the input" and what:
            return Parting("input, order of the colours", "", what, entering)
        ratio = _multiple(layer.taken, taken)
        if before == "the input" and ratio is not None:
            return Parting("input, range", "", f"The network gets {ratio:.4g} times the values.", entering)
        what = f"Its input parts by {entering:.2g}: what lies between {before} and it is at fault."
        return Parting("network", name, what, entering)
    leaving = _relative(given, layer.given)
    if leaving <= bound:
        return None
    swapped = _of_colours(conv.weight, layer.weight)
    if swapped and before == "the input":
        return Parting("input, order of the colours", "", swapped, leaving)
    return Parting(
        "network", name, f"Its input agrees, its output parts by {leaving:.2g}: {_of_weight(conv, layer)}.", leaving
    )


def _of_weight(conv: nn.Conv2d, layer: LayerValues) -> str:
    """Say what is wrong with a convolution's weight."""
    if layer.weight is None:
        return "its weight, its bias or its precision is at fault"
    if layer.weight.shape != conv.weight.shape:
        return f"its weight has the shape {list(layer.weight.shape)} instead of {list(conv.weight.shape)}"
    ratio = _multiple(layer.weight.float(), conv.weight)
    if ratio is not None and abs(ratio - 1) > SPREAD / 2:
        return f"its weight is {ratio:.4g} times that of the model"
    if _relative(conv.weight, layer.weight.float()) > SAME_INPUT:
        return "its weight is another"
    return "its weight is that of the model, so its bias or its settings are at fault"


def _of_decoding(model: DetectionModel, export: ExportedNetwork, images: Tensor, tolerance: Tolerance) -> Parting:
    """Compare boxes and scores; where they agree, the suppression is at fault."""
    own, others = model(images).decode(), export(images.to(export.device)).decode()
    parts = zip(("boxes", "scores"), own, others, (tolerance.boxes, tolerance.scores), strict=True)
    for name, first, second, bound in parts:
        difference = _largest(first - second.cpu()) if first.shape == second.shape else float("inf")
        if bound is not None and difference > bound:
            return Parting("decoding", "", f"All layers agree, and the {name} differ by {difference:.2g}.", difference)
    return Parting("suppression", "", "Boxes and scores agree, and the detections do not.", 0.0)


def _of_colours(own: Tensor, others: Tensor | None) -> str:
    """Say in which order the colours stand, where that is another."""
    if others is None or own.shape != others.shape or own.shape[1] != 3:
        return ""
    for order, title in ORDERS.items():
        if _relative(own[:, list(order)], others.float()) <= SAME_INPUT * 100:
            return f"The export takes colours in the order {title}, the model in red, green, blue."
    return ""


@contextmanager
def _watched(model: nn.Module) -> Iterator[dict[str, tuple[nn.Conv2d, Tensor, Tensor]]]:
    """Keep what goes into each convolution, and what comes out, in the order in which they are computed."""
    seen: dict[str, tuple[nn.Conv2d, Tensor, Tensor]] = {}

    def keep(name: str, module: nn.Conv2d) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_hook(
            lambda _, given, output: seen.__setitem__(name, (module, given[0].clone(), output.clone()))
        )

    hooks = [keep(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _relative(own: Tensor, others: Tensor) -> float:
    """Largest difference in shares of the largest value; infinite where shapes differ."""
    if own.shape != others.shape:
        return float("inf")
    return _largest(own - others.to(own)) / max(_largest(own), 1e-12)


def _multiple(others: Tensor, own: Tensor) -> float | None:
    """By what one tensor is a multiple of another; None if it is none."""
    clear = own.abs() > own.abs().max() * 0.01
    if own.shape != others.shape or not clear.any():
        return None
    ratio = others.to(own)[clear] / own[clear]
    middle = float(ratio.median())
    spread = float((ratio - middle).abs().max())
    return middle if spread <= SPREAD * max(abs(middle), 1e-12) else None


def _largest(difference: Tensor) -> float:
    """The largest absolute value; infinite where one is not a number."""
    return float(difference.abs().nan_to_num(float("inf")).max()) if difference.numel() else 0.0

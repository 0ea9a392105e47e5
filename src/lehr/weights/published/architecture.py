"""Settings of a pickled model that its tensors do not show, compared with those of the model they are for.

Two networks can have tensors of the same shapes and compute something else: another stride, another activation, another
BatchNorm epsilon, a shortcut more, a layer that takes its input from elsewhere. Each setting is compared, layer by
layer, with that of the layer of the same path, and the first difference is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from lehr.models.detection import STRIDES, DetectionModel
from lehr.weights.published.identify import REMEDY, layer_number
from lehr.weights.published.stand_in import Refused, StandIn

INPUTS: Mapping[str, Mapping[int, tuple[int, ...]]] = {
    "yolov8": {11: (10, 6), 14: (13, 4), 17: (16, 12), 20: (19, 9), 22: (15, 18, 21)},
    "yolov5": {12: (11, 6), 16: (15, 4), 19: (18, 14), 22: (21, 10), 24: (17, 20, 23)},
    "yolov3": {16: (14,), 18: (17, 8), 23: (21,), 25: (24, 6), 28: (27, 22, 15)},
}
"""By family, the layers whose input is not the layer before alone."""
SETTINGS: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
    nn.BatchNorm2d: ("eps",),
    nn.Upsample: ("scale_factor", "mode"),
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
}
"""Settings that decide what a layer computes."""


def check_architecture(model: DetectionModel, family: str, layers: Mapping[str, StandIn]) -> None:
    """Check that the layers of a pickled model compute what those of a model of Lehr's do.

    Args:
        model: the model that the tensors are for.
        family: its family.
        layers: those of the file by path, e.g. "model.0.conv".

    Raises:
        Refused: one does not; with the first difference.
    """
    own = dict(model.named_modules())
    for path in sorted(layers, key=lambda path: layer_number(f"{path}.")):
        difference = _setting(path, own.get(path), layers[path]) or _input(path, INPUTS[family], layers[path])
        if difference is not None:
            raise Refused(f"computes otherwise than {model.variant}: {difference}. {REMEDY}")
    _check_strides(layers.get(f"model.{len(model.model) - 1}"))


def _setting(path: str, own: nn.Module | None, given: StandIn) -> str | None:
    """Describe the setting in which a layer differs; None if it does not."""
    name = given.kind
    if path.endswith(".act"):
        return None if name == "SiLU" else f"the activation {path} is {name} in place of SiLU"
    for kind, settings in SETTINGS.items():
        if own is not None and isinstance(own, kind):
            if name != kind.__name__:
                return f"{path} is a {name} in place of a {kind.__name__}"
            for each in settings:
                wanted, found = getattr(own, each), given.attributes.get(each)
                if not _equal(wanted, found):
                    return f"{each} of {path} is {_shown(found)} in place of {_shown(wanted)}"
    added = getattr(own, "add", None)
    if added is not None and isinstance(given.attributes.get("add"), bool) and given.attributes.get("add") != added:
        return f"{path} has {'no' if added else 'a'} shortcut around it"
    if name == "SPPF" and given.attributes.get("add"):
        return f"{path} adds its input to its output"
    if own is None and name not in ("Identity", "Dropout", "DFL", "ModuleList", "Sequential"):
        return f"it has a layer {path} ({name})"
    return None


def _input(path: str, inputs: Mapping[int, tuple[int, ...]], given: StandIn) -> str | None:
    """Describe the layers that a layer takes its input from, where they are others; None if not."""
    source = given.attributes.get("f")
    if path.count(".") != 1 or source is None:
        return None
    number = layer_number(f"{path}.")
    wanted = inputs.get(number, (number - 1,))
    listed = source if isinstance(source, list | tuple) else [source]
    found = tuple(each + number if isinstance(each, int) and each < 0 else each for each in listed)
    if found == wanted or number == 0:
        return None
    return f"{path} takes its input from {_joined(found)} in place of {_joined(wanted)}"


def _check_strides(head: StandIn | None) -> None:
    strides = None if head is None else head.attributes.get("stride")
    if isinstance(strides, Tensor) and strides.numel() <= len(STRIDES):
        found = tuple(strides.double().flatten().tolist())
        if found != tuple(map(float, STRIDES)):
            raise Refused(
                f"has strides {_joined(found)} pixels, where Lehr's detectors have {_joined(STRIDES)}. {REMEDY}"
            )


def _equal(wanted: Any, found: Any) -> bool:
    """Compare settings, of which torch writes 2 and (2, 2) for the same."""
    if isinstance(wanted, float) or isinstance(found, float):
        return isinstance(found, int | float) and abs(float(wanted) - found) <= 1e-9
    both = [each if isinstance(each, tuple) else (each, each) for each in (wanted, found)]
    return bool(both[0] == both[1])


def _shown(value: Any) -> str:
    return repr(value)[:60]


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, int | float) else repr(value)[:20] for value in values)

"""Mixed precision: the model computes in a type of 16 bits, weights, loss and gradients stay in float32.

bfloat16 has float32's range and 8 bits of precision; float16 has 11 bits, but overflows above 65504 and loses small
gradients, so its loss is multiplied by a scale that falls by half at each overflow and rises again later (Micikevicius
et al., "Mixed Precision Training", 2018; Kalamkar et al., "A Study of bfloat16", 2019).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import torch

from lehr.errors import InputError
from lehr.runtime.device import pick_device
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique
from lehr.techniques.precision_support import native, works

FIRST_SCALE = 2.0**16
"""Initial scale of the loss in float16 for an unknown model."""


class Precision(StrEnum):
    """Numeric type in which the model computes."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"

    @property
    def dtype(self) -> torch.dtype:
        """The torch dtype."""
        return {
            Precision.FLOAT32: torch.float32,
            Precision.BFLOAT16: torch.bfloat16,
            Precision.FLOAT16: torch.float16,
        }[self]


NAMED = {"bf16": Precision.BFLOAT16, "fp16": Precision.FLOAT16, "off": Precision.FLOAT32}


def wanted_precision(amp: str, device: torch.device) -> Precision:
    """The precision that `--amp` selects on a device.

    `auto` takes the fastest that a GPU's hardware has, and float32 on a CPU: the gain of bfloat16 there is small
    compared with its possible cost in accuracy.

    Args:
        amp: auto, bf16, fp16 or off.
        device: where the model computes.

    Raises:
        InputError: the named one does not work there.
    """
    if amp == "auto" and device.type == "cpu":
        return Precision.FLOAT32
    if amp == "auto":
        having = (precision for precision in (Precision.BFLOAT16, Precision.FLOAT16) if _fit(device, precision))
        return next(having, Precision.FLOAT32)
    precision = NAMED[amp]
    if precision is not Precision.FLOAT32 and not works(device, precision.dtype):
        raise InputError(
            f"--amp {amp}: {precision} does not work on {device}. Use --amp auto, which selects what works."
        )
    return precision


def faster_on_request(amp: str, device: torch.device) -> str | None:
    """Name a precision that the CPU supports but `auto` does not select; None if there is none.

    Args:
        amp: as given.
        device: where the model computes.
    """
    if amp != "auto" or device.type != "cpu" or not _fit(device, Precision.BFLOAT16):
        return None
    return (
        "This CPU has instructions for bfloat16: --amp bf16 takes about two thirds of the time, and cost small models "
        "up to 0.03 mAP50 (docs/techniques/mixed-precision.md)."
    )


def safer(precision: Precision, device: torch.device) -> Precision:
    """The next safer precision on a device: after float16, bfloat16 if the hardware supports it, else float32."""
    if precision is Precision.FLOAT16 and _fit(device, Precision.BFLOAT16):
        return Precision.BFLOAT16
    return Precision.FLOAT32


def _fit(device: torch.device, precision: Precision) -> bool:
    """Return whether the hardware supports a precision and it works; a CPU gains nothing from float16."""
    if device.type == "cpu" and precision is Precision.FLOAT16:
        return False
    return native(device, precision.dtype) and works(device, precision.dtype)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context in which a model computes in a precision; with float32 it does nothing."""
    mixed = precision is not Precision.FLOAT32
    return torch.autocast(device.type, dtype=precision.dtype if mixed else None, enabled=mixed)


def input_dtype(model: object, precision: Precision) -> torch.dtype:
    """Return the type in which a model is given its images.

    Args:
        model: a network. If its images only go into a convolution, the type is what `autocast` would round them to,
            with the same results; otherwise float32.
        precision: in which it computes.
    """
    return precision.dtype if getattr(model, "convolves_images", False) else torch.float32


def new_scaler(device: torch.device, precision: Precision, scale: float = FIRST_SCALE) -> torch.amp.GradScaler | None:
    """Scaler of the loss in float16; None in the other precisions, which need none.

    Args:
        device: the device of the loss.
        precision: that of the model.
        scale: initial scale.
    """
    if precision is not Precision.FLOAT16:
        return None
    return torch.amp.GradScaler(device.type, init_scale=scale)


def scaler_state(scaler: torch.amp.GradScaler) -> dict[str, Any]:
    """Return what `GradScaler.state_dict` does, its scale as a tensor: reading it would wait for the device."""
    known = {"growth_factor": scaler.get_growth_factor(), "backoff_factor": scaler.get_backoff_factor()}
    known["growth_interval"] = scaler.get_growth_interval()
    if scaler._scale is None:  # before the first step
        return {**known, "scale": scaler._init_scale, "_growth_tracker": scaler._init_growth_tracker}
    return {**known, "scale": scaler._scale, "_growth_tracker": scaler._growth_tracker}


def _without_effect(run: Run) -> dict[str, NoEffect]:
    """`auto` on a device that supports nothing faster than float32."""
    if run.config.speed.amp != "auto":
        return {}
    try:
        device = pick_device(run.config.devices.device.split(",")[0])
    except InputError:  # of another machine
        return {}
    if wanted_precision("auto", device) is not Precision.FLOAT32:
        return {}
    return {"amp": NoEffect(f"{device} supports nothing faster than float32", acts_as="off")}


def _state(run: Run) -> State:
    amp = run.config.speed.amp
    where = "on a GPU that has it, where" if amp == "auto" else "where"
    return State(amp != "off", f"{amp}, {where} its check passes")


TECHNIQUE = Technique(
    name="mixed precision",
    page="mixed-precision",
    section=Section.DEVICE,
    order=10,
    options=("amp",),
    without_effect=_without_effect,
    why="16 bits are several times as fast on a GPU and take half the memory",
    state=_state,
    switches=(Switch("mixed_precision", {"amp": "auto"}, {"amp": "off"}, aliases=("amp",), in_all=False),),
    code=("techniques/precision_check.py", "techniques/precision_support.py"),
)

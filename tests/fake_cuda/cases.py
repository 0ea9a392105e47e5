"""What is run on fake CUDA devices, by name; nothing here needs them."""

from __future__ import annotations

from typing import Any

from lehr.models.family import FAMILIES

FIRST, *OTHERS = (family.models[0] for family in FAMILIES.known())
"""The smallest model of each family."""
SMALL = {FIRST: "small", OTHERS[0]: "small-anchored"}
"""Models with their heads and a layer of each kind, for checks that are quick; slow ones take the models themselves."""
MORE = "yolov5s"
"""One more whose step is bounded."""
SWITCHES = {"kernels": True, "torch": False}
"""With Lehr's kernels, and as with `LEHR_KERNELS=off`."""

_ODD: dict[str, Any] = {"label_smoothing": 0.1, "cls_pw": 0.9, "obj_pw": 0.9, "least_side": 16}
BOXES = "boxes"
LOSSES: dict[str, dict[str, Any]] = {
    "no objects": {},
    "weighed classes": _ODD,
    "weights on another GPU": _ODD,
    "focal": {"fl_gamma": 1.5, **_ODD},
    "quality focal": {"cls_loss": "qfl", **_ODD},
    "varifocal": {"cls_loss": "vfl", **_ODD},
    **{f"{kind} {BOXES}": {"box_loss": kind, **_ODD} for kind in ("diou", "giou", "siou", "eiou", "wiou", "nwd")},
    "many points": {"tal_topk": 70, "tal_alpha": 1.0},
}
"""Options of the variations of the loss."""
WEIGHTS = {"weighed classes": "cuda:0", "weights on another GPU": "cuda:1"}
"""Devices of the weights of classes; with `--parallel dp` a replica has those of the first."""
OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam")
SUPPRESSION = "suppression"
CROWDED = "1,000 objects an image"
"""A step of 64 images, of which each has so many."""
_DRAWN: dict[str, Any] = {"size": 96, "perspective": True, "mixed": 2}
STEPS: dict[str, dict[str, Any]] = {
    "SGD, multi-scale, perspective, mixup": {"optimizer": "SGD", **_DRAWN},
    "Adam, float16, save": {"optimizer": "Adam", "precision": "float16", "save": True},
    "Adam, float16, save, multi-scale, perspective, mixup": {
        "optimizer": "Adam",
        "precision": "float16",
        "save": True,
        **_DRAWN,
    },
    "AdamW, float32, weighed classes, multi-scale, perspective, mixup": {
        "precision": "float32",
        "weighed": True,
        **_DRAWN,
    },
}
"""Variations of the step."""

WAITS = ("drawing", "input", "forward", "loss", "backward", "optimizer", "EMA", "outcome", "save", "validation")
"""Places where a wait of the host is put in, to see it found."""
MISMATCHES = (
    *("input on the CPU", "classes on the CPU", "boxes on another GPU"),
    *("a kernel's classes on the CPU", "a kernel's boxes on another GPU"),
)
"""Places where a tensor on another device is put in."""

NO_DEVICES = 3
"""Exit code of a process that cannot have fake devices."""
FAULTS = "faults"
GROUPS = (FIRST, *SMALL.values(), *OTHERS, MORE, FAULTS)
"""The groups of checks, those with faults last."""


def is_slow(group: str, name: str) -> bool:
    """Whether a check is left to the slow suite: what it guards is guarded by a quicker one, but for its figures."""
    part, _, switch = name.rpartition(": ")
    if group == FIRST:
        return part != SUPPRESSION and (switch == "torch" or part not in ("step", "validation", CROWDED))
    if group == SMALL[FIRST]:  # losses of boxes are the same with kernels and without; Adam is checked with anchors
        return part == list(STEPS)[1] or (switch == "torch" and part.endswith(BOXES))
    if group in SMALL.values():
        return name == "step: torch" or (part.endswith(BOXES) and "siou" not in part)
    return group != FAULTS


def names(group: str) -> list[str]:
    """The checks of a group."""
    if group == FAULTS:
        found = [f"wait in {place}" for place in WAITS] + [f"wait in suppression, {switch}" for switch in SWITCHES]
        return found + list(MISMATCHES) + ["kernel without an argument"]
    if group == MORE:
        return ["step: kernels"]
    sgd, adam, all_of_it, weighed = STEPS
    found = [*(f"step: {switch}" for switch in SWITCHES), "validation: kernels"]
    if group in (FIRST, SMALL[FIRST]):
        found += [f"{sgd}: kernels", f"{adam}: kernels", f"{weighed}: torch", "validation: torch"]
    else:
        found += [f"{all_of_it}: kernels"]
    if group == FIRST:
        found += [f"{part}: {switch}" for part in (SUPPRESSION, CROWDED) for switch in SWITCHES]
    if group == SMALL[FIRST]:
        found += [f"{name}: kernels" for name in OPTIMIZERS]
        found += [f"loss, {name}: {switch}" for name in LOSSES for switch in SWITCHES]
    elif group in SMALL.values():  # its loss has no kernels
        found += [f"loss, {name}: torch" for name in LOSSES]
    return found

"""The checks on fake CUDA devices, in a process that has them: `python -m tests.fake_cuda.checks [--slow] GROUP...`.

Prints a line of JSON for each group: for each check what it raised, or the stages that it counted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.fake_cuda.counting import Stage
from benchmarks.fake_cuda.device import misfit
from benchmarks.fake_cuda.stages import (
    Answer,
    Case,
    count_optimizer,
    count_soon,
    count_step,
    count_suppression,
    count_validation,
)
from tests.fake_cuda import cases, faults

from lehr.options import LossOptions
from lehr.techniques.precision import Precision

Stages = dict[str, Stage]


def check(group: str, name: str) -> Stages:
    """Run a check."""
    if group == cases.FAULTS:
        faults.inject(name)
        return {}
    part, _, switch = name.rpartition(": ")
    kernels = cases.SWITCHES[switch]
    if part == "step":
        return count_step(Case(group), kernels=kernels)
    if part in cases.STEPS:
        return _varied_step(group, kernels, **cases.STEPS[part])
    if part == "validation":
        return {part: count_validation(Case(group), kernels=kernels)}
    if part == cases.SUPPRESSION:
        return {part: count_suppression(Case(group), kernels=kernels)}
    if part == cases.CROWDED:
        return count_soon(Case(group, objects=1000), kernels=kernels)
    if part in cases.OPTIMIZERS:
        return {"optimizer": count_optimizer(part)}
    loss = part.removeprefix("loss, ")
    options, objects = LossOptions.model_validate(cases.LOSSES[loss]), 0 if loss == "no objects" else 7
    return {"loss": _answer(group, kernels).count_loss(options, weights=cases.WEIGHTS.get(loss), objects=objects)}


def _small(model: str) -> Case:
    return Case(model, batch=2, imgsz=64, objects=7, classes=3)


def _varied_step(model: str, kernels: bool, *, precision: str = "bfloat16", save: bool = False, **case: Any) -> Stages:
    varied = dataclasses.replace(_small(model), precision=Precision(precision), **case)
    return count_soon(varied, kernels=kernels, save=save)


@functools.cache
def _answer(model: str, kernels: bool) -> Answer:
    return Answer(_small(model), kernels=kernels)


def outcome(run: Callable[[], Stages]) -> dict[str, Any]:
    """What a check counted, or what it raised."""
    began = time.perf_counter()
    try:
        stages = run()
    except Exception as error:  # whatever it is, a test tells it
        return {"error": f"{type(error).__name__}: {error}"}
    found = {name: (stage.launches, stage.bytes / 1e9, stage.peak / 2**30) for name, stage in stages.items()}
    return {"stages": found, "seconds": round(time.perf_counter() - began, 2)}


def main() -> None:
    """Run groups and print what came of them; end with a code of its own where fake devices cannot be had."""
    why = misfit()
    if why is not None:
        sys.stderr.write(why)
        sys.exit(cases.NO_DEVICES)
    slow = "--slow" in sys.argv
    for group in (each for each in sys.argv[1:] if each != "--slow"):
        chosen = [name for name in cases.names(group) if cases.is_slow(group, name) == slow]
        found = {name: outcome(functools.partial(check, group, name)) for name in chosen}
        sys.stdout.write(json.dumps({group: found}) + "\n")


if __name__ == "__main__":
    main()

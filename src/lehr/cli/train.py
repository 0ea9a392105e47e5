"""`lehr train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lehr.config import (
    AugmentOptions,
    DataOptions,
    LossOptions,
    ModelOptions,
    RunOptions,
    ScheduleOptions,
    build_config,
    read_config_file,
)


def train(
    *,
    data: Annotated[DataOptions, Parameter(name="*", group="Data")] = DataOptions(),
    model: Annotated[ModelOptions, Parameter(name="*", group="Model")] = ModelOptions(),
    schedule: Annotated[ScheduleOptions, Parameter(name="*", group="Schedule")] = ScheduleOptions(),
    loss: Annotated[LossOptions, Parameter(name="*", group="Loss")] = LossOptions(),
    augment: Annotated[AugmentOptions, Parameter(name="*", group="Augmentation")] = AugmentOptions(),
    run: Annotated[RunOptions, Parameter(name="*", group="Run")] = RunOptions(),
    config: Path | None = None,
) -> None:
    """Train a detector; without options, YOLOv8n on the generated data set `shapes`, a few minutes on two cores.

    The run's folder holds config.yaml, results.csv, train.log, best.safetensors and last.safetensors. Ctrl-C ends at
    the next step, with weights written.

    Parameters
    ----------
    config:
        Options from a YAML file, such as a run's config.yaml; those given here win.
    """
    options: dict[str, Any] = {}
    source = "options"
    if config is not None:
        options = {name.replace("-", "_"): value for name, value in read_config_file(config).items()}
        source = str(config)
        build_config(options, source)
    for group in (data, model, schedule, loss, augment, run):
        options |= {name: getattr(group, name) for name in group.model_fields_set}
    settings = build_config(options)

    from lehr.engine.memory import keep_memory

    keep_memory()
    from lehr.engine.trainer import train as train_detector

    result = train_detector(settings)
    best = result.best
    print(  # noqa: T201
        f"\nNext, try:\n"
        f"  lehr val --weights {best} --data {settings.data.data} --imgsz {settings.imgsz}\n"
        f"  lehr predict --weights {best} SOURCE      your own images, folders or globs\n"
        f"  lehr train --data YOUR.yaml                your own data; `lehr data check YOUR.yaml` first"
    )

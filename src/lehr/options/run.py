"""Options of the run itself: its devices and their use, its seed and its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, ON_RESUME, PER_MACHINE, Options
from lehr.runtime.folder_name import check_folder_name

MAX_PROCESSES = 1024
MAX_SECONDS = 366 * 24 * 3600.0


class SpeedOptions(Options):
    """Use of the device: the same training, faster."""

    fixed_because = "the numbers before and after would be rounded in different ways"

    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"
    """Mixed precision, checked on this model and its images first; `auto`: bfloat16 or float16 on a GPU that has it."""
    augment_on: Literal["auto", "cpu", "device"] = "auto"
    """Place where training samples are drawn; `auto`: on a GPU where there is one, else on the CPU."""
    compile: Annotated[Literal["off", "default", "reduce-overhead", "max"], ON_RESUME] = "off"
    """torch.compile for model and loss; `reduce-overhead` launches it as CUDA graphs, `max` also tries out kernels."""
    cuda_graphs: Annotated[Literal["auto", "off"], ON_RESUME, ADDED_LATER] = "auto"
    """Launch whole steps at once on a GPU, where their shapes stay the same: see CUDA graphs."""
    profile: Annotated[bool, ON_RESUME, PER_MACHINE] = False
    """End with a table of where the time went, and what to change."""

    @field_validator("amp", "compile", "cuda_graphs", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """YAML reads `off` as a boolean; and the familiar `amp: true` means `auto`."""
        return {False: "off", True: "auto"}.get(value, value) if isinstance(value, bool) else value


class DeviceOptions(Options):
    """Devices of the run: one, or several."""

    fixed_because = "the images that BatchNorm sees together would be others"

    device: Annotated[str, ON_RESUME, PER_MACHINE] = "auto"
    """auto, cpu, cuda, mps or a CUDA index such as 0, or several such as 0,1,2,3; `auto` falls back to the CPU."""
    processes: Annotated[int | None, ON_RESUME, PER_MACHINE] = Field(None, ge=1, le=MAX_PROCESSES)
    """Processes on this machine that train together (unset: one for each device that is named)."""
    parallel: Annotated[Literal["ddp", "dp"], ON_RESUME] = "ddp"
    """Several devices: a process each (DistributedDataParallel), or one process for all (DataParallel, slower)."""
    sync_bn: bool = False
    """BatchNorm over the images of all processes instead of each one's own; for few images a device."""
    restarts: Annotated[int, ON_RESUME, PER_MACHINE] = Field(3, ge=0, le=MAX_COUNT)
    """Times that the processes are started again after one was lost; they go on from the last checkpoint."""
    timeout: Annotated[float, ON_RESUME, PER_MACHINE] = Field(600.0, gt=0, le=MAX_SECONDS)
    """Seconds that a process waits for the others before it ends."""

    @field_validator("device", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give an index or a list."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class RunOptions(Options):
    """Seed and results of the run."""

    fixed_because = "it belongs to the run from its beginning"

    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of everything random."""
    project: Annotated[Path, PER_MACHINE] = Path("runs")
    """Folder that holds the runs."""
    name: Annotated[str | None, PER_MACHINE] = None
    """Name of the run's folder (unset: train, train-2, ...)."""
    max_det: Annotated[int, ADDED_LATER] = Field(300, ge=1, le=100_000)
    """Detections of an image that the validation keeps, by which fitness is measured; for images with more objects."""
    guard: Annotated[Literal["auto", "off"], ADDED_LATER] = "auto"
    """`auto`: evaluate a start that knows all classes; it is the best until an epoch is better."""
    checkpoint_minutes: Annotated[float, ON_RESUME, PER_MACHINE] = Field(5.0, gt=0)
    """Minutes between checkpoints within an epoch; there is one after each epoch in any case."""
    deterministic: bool = False
    """Repeat to the last bit on CUDA too, at a cost that is measured and told; a CPU always does."""
    callback: Annotated[tuple[str, ...], ON_RESUME, PER_MACHINE, ADDED_LATER] = ()
    """Listeners to the run, each the name of one that an installed package offers, or package.module:object."""
    strict_callbacks: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER] = False
    """End the run, its state saved, when a callback fails; otherwise that is reported and the run goes on."""
    loggers: Annotated[tuple[str, ...], ON_RESUME, PER_MACHINE, ADDED_LATER] = ()
    """Tools that get scalars, options and images: csv, tensorboard, mlflow, trackio, wandb, or other packages' own."""

    digests: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER] = False
    """Record digests of batch and weights at each step, by which `lehr diff` finds where two runs part."""
    report: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER] = True
    """End with the run's page, report.html; `lehr report RUN` builds it at any time."""

    @field_validator("guard", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """YAML reads `off` as a boolean."""
        return {False: "off", True: "auto"}.get(value, value) if isinstance(value, bool) else value

    @field_validator("loggers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Several may be given in one word, separated by commas; each counts once."""
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            return value
        names = (name.strip() for word in words for name in word.split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @field_validator("name")
    @classmethod
    def _one_folder(cls, value: str | None) -> str | None:
        """A file of options may not make its run wherever it likes."""
        return None if value is None else check_folder_name(value)

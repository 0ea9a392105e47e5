"""Options of the run itself: its devices and their use, its seed and its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, ON_RESUME, PER_MACHINE, Options
from lehr.options.help_groups import HelpGroup
from lehr.runtime.folder_name import check_folder_name

MAX_PROCESSES = 1024
MAX_SECONDS = 366 * 24 * 3600.0


class SpeedOptions(Options):
    """Use of the device: the same training, faster."""

    fixed_because = "the numbers before and after would be rounded in different ways"
    help_group = HelpGroup.SPEED

    amp: Annotated[Literal["auto", "bf16", "fp16", "off"], HelpGroup.TRAINING] = "auto"
    """Mixed precision, checked on your model and images. `auto`: bfloat16 or float16 on a GPU that has it."""
    augment_on: Literal["auto", "cpu", "device"] = "auto"
    """Device that augments images; `auto`: the GPU if any."""
    compile: Annotated[Literal["off", "default", "reduce-overhead", "max"], ON_RESUME] = "off"
    """Compile model and loss with torch.compile; `reduce-overhead` uses CUDA graphs; `max` also tunes kernels."""
    cuda_graphs: Annotated[Literal["auto", "off"], ON_RESUME, ADDED_LATER] = "auto"
    """Launch whole steps as CUDA graphs on a GPU; only where their shapes stay the same."""
    profile: Annotated[bool, ON_RESUME, PER_MACHINE] = False
    """End with a table of where the time went."""

    @field_validator("amp", "compile", "cuda_graphs", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """YAML reads `off` as a boolean; and the familiar `amp: true` means `auto`."""
        return {False: "off", True: "auto"}.get(value, value) if isinstance(value, bool) else value


class DeviceOptions(Options):
    """Devices of the run: one, or several."""

    fixed_because = "the images that BatchNorm sees together would be others"
    help_group = HelpGroup.DEVICES

    device: Annotated[str, ON_RESUME, PER_MACHINE, HelpGroup.BASICS] = "auto"
    """auto, cpu, cuda, mps, a GPU such as 0, or several: 0,1."""
    processes: Annotated[int | None, ON_RESUME, PER_MACHINE] = Field(None, ge=1, le=MAX_PROCESSES)
    """Processes that train together on this machine (unset: one for each device that is named)."""
    parallel: Annotated[Literal["ddp", "dp"], ON_RESUME] = "ddp"
    """Several devices: a process each (ddp), or one (dp)."""
    sync_bn: bool = False
    """Share BatchNorm statistics among processes; for few images per device."""
    restarts: Annotated[int, ON_RESUME, PER_MACHINE, HelpGroup.RECOVERY] = Field(3, ge=0, le=MAX_COUNT)
    """Restarts after a lost process, from the checkpoint."""
    timeout: Annotated[float, ON_RESUME, PER_MACHINE, HelpGroup.RECOVERY] = Field(600.0, gt=0, le=MAX_SECONDS)
    """Seconds that a process waits for the others."""

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
    help_group = HelpGroup.OUTPUT

    seed: Annotated[int, HelpGroup.TRAINING] = Field(0, ge=0, lt=2**63)
    """Seed of everything random."""
    project: Annotated[Path, PER_MACHINE, HelpGroup.BASICS] = Path("runs")
    """Folder that holds the runs."""
    name: Annotated[str | None, PER_MACHINE, HelpGroup.BASICS] = None
    """Name of the run's folder (unset: train, train-2, ...; in a study evolve or ablate)."""
    max_det: Annotated[int, ADDED_LATER, HelpGroup.RECORDS] = Field(300, ge=1, le=100_000)
    """Detections per image that the validation keeps."""
    guard: Annotated[Literal["auto", "off"], ADDED_LATER, HelpGroup.RECORDS] = "auto"
    """`auto`: starting weights stay the best until beaten; only where they know all classes."""
    checkpoint_minutes: Annotated[float, ON_RESUME, PER_MACHINE, HelpGroup.RECOVERY] = Field(5.0, gt=0)
    """Minutes between checkpoints within an epoch."""
    deterministic: Annotated[bool, HelpGroup.RECORDS] = False
    """Repeat runs bit for bit on CUDA, more slowly; a CPU always does."""
    callback: Annotated[tuple[str, ...], ON_RESUME, PER_MACHINE, ADDED_LATER, HelpGroup.RECORDS] = ()
    """Callback of a package, or package.module:object; may be repeated."""
    strict_callbacks: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER, HelpGroup.RECORDS] = False
    """Stop the run when a callback fails."""
    loggers: Annotated[tuple[str, ...], ON_RESUME, PER_MACHINE, ADDED_LATER] = ()
    """csv, tensorboard, mlflow, trackio, wandb, or others."""

    digests: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER, HelpGroup.RECORDS] = False
    """Record digests of each step, for `lehr diff`."""
    report: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER] = True
    """Write the run's page, report.html, at the end."""

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

"""The options of studies: what they share, what is evolution's, and what is ablation's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from lehr.options import MAX_COUNT, Options
from lehr.options.help_groups import HelpGroup
from lehr.search.ablation import Mode
from lehr.search.fitness import DEFAULT
from lehr.search.samplers import PrunerName, SamplerName


class StudyOptions(Options):
    """Storage and workers of a study; may differ from machine to machine and from time to time."""

    help_group = HelpGroup.WORKERS

    storage: str | None = None
    """SQLite file, journal file (.log), or a database's URL; postgresql://USER@HOST/DATABASE or mysql://... (unset:
    LEHR_STORAGE, or study.db of the study)."""
    storage_file: Path | None = None
    """File with the storage's URL, which hides its password."""
    jobs: int | None = Field(None, ge=1, le=1024)
    """Workers on this machine (unset: one for each device that is named)."""
    hours: Annotated[float | None, HelpGroup.STUDY] = Field(None, gt=0)
    """Stop after this many hours; the same command resumes."""
    grace: float = Field(120.0, ge=5)
    """Seconds of silence before a worker counts as lost."""
    keep_checkpoints: bool = False
    """Keep the training state of finished trials."""
    fitness: Annotated[str, HelpGroup.STUDY] = DEFAULT
    """Metric to maximise, or a sum of metrics; map_max_det and map50_max_det, of all that are kept; map, map50, map75,
    precision, recall or f1."""


class EvolveOptions(Options):
    """Options of a search."""

    help_group = HelpGroup.STUDY

    trials: int = Field(100, ge=1, le=MAX_COUNT)
    """Trials of the whole study, on all machines together."""
    sampler: SamplerName = "ga"
    """Sampler of values; `ga` is YOLOv5's algorithm."""
    pruner: PrunerName = "median"
    """Pruner that ends weak trials early."""
    prune_after: int | None = Field(None, ge=1)
    """Epochs that every trial gets (unset: an eighth of all)."""
    space: Path | None = None
    """YAML of what is varied, `NAME: [low, high]` per line (unset: the table of docs/evolution.md)."""


class AblateOptions(Options):
    """Options of an ablation."""

    help_group = HelpGroup.STUDY

    techniques: str = "all"
    """Techniques to switch, e.g. mosaic,ema,warmup,cos_lr; or all that are on. docs/techniques has the names."""
    technique_file: Path | None = None
    """YAML of techniques of your own; `NAME: {on: {OPTION: VALUE}, off: {OPTION: VALUE}}`."""
    seeds: int = Field(3, ge=1, le=1000)
    """Runs per set, with --seed, --seed + 1, and so on."""
    mode: Mode = "leave-one-out"
    """Leave one technique out, add one, or try every subset."""

    @field_validator("techniques", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give a list."""
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

"""The options of studies: what they share, what is evolution's, and what is ablation's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lehr.options import MAX_COUNT, Options
from lehr.search.ablation import Mode
from lehr.search.fitness import DEFAULT
from lehr.search.samplers import PrunerName, SamplerName


class StudyOptions(Options):
    """Storage and workers of a study; may differ from machine to machine and from time to time."""

    storage: str | None = None
    """An SQLite file, a journal file (.log, .journal) on a shared disk, or postgresql://USER@HOST/DATABASE, or mysql://...
    (unset: what LEHR_STORAGE says, or study.db in the study's folder). Passwords: --storage-file."""
    storage_file: Path | None = None
    """File that holds the storage's URL in one line, so that no list of processes shows its password; PGPASSWORD and
    MYSQL_PWD may hold the password, too."""
    jobs: int | None = Field(None, ge=1, le=1024)
    """Workers on this machine, a trial each at a time (unset: one for each device that is named)."""
    hours: float | None = Field(None, gt=0)
    """Stop after this many hours with what is known then; the same command goes on."""
    grace: float = Field(120.0, ge=5)
    """Seconds without a sign of life after which a worker on another machine is taken for lost."""
    keep_checkpoints: bool = False
    """Keep the training state of trials that have ended, too; it is several times as large as their weights."""
    fitness: str = DEFAULT
    """Metric that is maximised: map_max_det, map50_max_det (of all detections that are kept), map, map50, map75,
    precision, recall or f1, or a sum."""


class EvolveOptions(Options):
    """Options of a search."""

    trials: int = Field(100, ge=1, le=MAX_COUNT)
    """Trials of the whole study, on all machines together."""
    sampler: SamplerName = "ga"
    """YOLOv5's genetic algorithm; its later form with tournaments, crossover and elites; TPE; CMA-ES; a Gaussian
    process; or random."""
    pruner: PrunerName = "median"
    """Ends trials that promise little: by the median, by successive halving, by Hyperband; or none."""
    prune_after: int | None = Field(None, ge=1)
    """Epochs that every trial gets (unset: an eighth of all)."""
    space: Path | None = None
    """YAML file of what is varied, `NAME: [low, high]` a line (unset: the table of docs/evolution.md)."""


class AblateOptions(Options):
    """Options of an ablation."""

    techniques: str = "all"
    """Techniques to switch, such as mosaic,ema,warmup,cos_lr (docs/techniques has all names); or all that are on."""
    technique_file: Path | None = None
    """YAML file of techniques of your own, `NAME: {on: {OPTION: VALUE}, off: {OPTION: VALUE}}` a line."""
    seeds: int = Field(3, ge=1, le=1000)
    """Runs of each set, with --seed, --seed + 1, and so on; more may be asked for later."""
    mode: Mode = "leave-one-out"
    """All techniques but one; none but one; or every subset."""

    @field_validator("techniques", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give a list."""
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

"""`lehr evolve`: runs a search and writes its results."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lehr.config import TrainConfig
from lehr.errors import InputError
from lehr.options import GROUPS
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.search.evolution import Evolution
from lehr.search.fitness import parse_fitness
from lehr.search.importance import importances
from lehr.search.records import Record
from lehr.search.space import build_space
from lehr.studies.estimate import measure_epoch
from lehr.studies.options import EvolveOptions, StudyOptions
from lehr.studies.runner import (
    PAGE,
    PLOTS,
    StudyOutcome,
    as_begun,
    begun_with,
    local_options,
    read_data,
    run_study,
    shared_options,
    worker_places,
)
from lehr.studies.storage import require_optuna
from lehr.studies.study import SharedStudy
from lehr.studies.trial_files import own_folder
from lehr.studies.trials_csv import write_table, write_text

IN_FILE = ("optimizer", "nominal_batch")
"""Options that the file of the best values names besides what was varied."""
TABLE, EVOLVED = "evolve.csv", "hyp_evolved.yaml"


class EvolveStudy:
    """A search on this machine.

    Args:
        config: the run that is varied.
        options: the settings of the search.
        study: its storage and workers.

    Raises:
        InputError: options, data or space cannot be used.
    """

    def __init__(self, config: TrainConfig, options: EvolveOptions, study: StudyOptions) -> None:
        require_optuna()
        parse_fitness(study.fitness)
        config = as_begun(config, "evolve")
        self.config, self.options, self.study = config, options, study
        base = shared_options(config)
        self.run, self.data, self.faults = read_data(config)
        if options.prune_after is not None and options.prune_after >= config.epochs:
            raise InputError(
                f"--prune-after {options.prune_after}: trials have {counted(config.epochs, 'epoch')}, so none "
                f"would be pruned. "
                "Give fewer, or --pruner none."
            )
        space = build_space(self.run, options.space, kept=begun_with(config, "evolve", "space", "parameters"))
        self.evolution = Evolution(
            base, space, options.sampler, options.pruner, options.prune_after, study.fitness.replace(" ", "")
        )

    def run_study(self, verbose: bool = True) -> StudyOutcome:
        """Run the search until all trials have ended or it is stopped.

        Args:
            verbose: print its progress.
        """
        evolution = self.evolution
        done = run_study(
            evolution,
            evolution.definition(self.data),
            evolution.slots(self.options.trials),
            self.config,
            self.study,
            lambda record: "",
            lambda folder, study, records: self._write(folder, records, study.fitness),
            verbose=verbose,
        )
        self._write_page(done.folder, done.study, done.records)
        return done

    def seconds(self) -> float:
        """Estimate the duration of the search here without pruning, from one trained epoch."""
        places = worker_places(self.config, self.study.jobs)
        local, cores = places[0]
        estimate = measure_epoch({**self.evolution.base, **local_options(self.config), **local}, cores)
        return estimate.seconds(self.options.trials, self.config.epochs, len(places))

    def _write(self, folder: Path, records: Sequence[Record], fitness: str) -> None:
        """Write the table of trials and the best values."""
        names = tuple(self.evolution.space.parameters)
        write_table(records, names, lambda record: [record.params.get(name, "") for name in names], folder / TABLE)
        best = best_record(records)
        if best is not None:
            write_evolved(best, self, fitness, folder / EVOLVED)

    def _write_page(self, folder: Path, study: SharedStudy, records: Sequence[Record]) -> None:
        from lehr.report.evolution_page import draw_evolution, evolution_page
        from lehr.report.page import write_page

        importance, space = importances(study.study), self.evolution.space
        figures = draw_evolution(records, own_folder(folder / PLOTS), importance, space.start)
        result = folder / EVOLVED if best_record(records) is not None else None
        page = evolution_page(
            folder.name,
            records,
            space,
            epochs=self.evolution.epochs,
            importance=importance,
            figures=figures,
            command=None if result is None else command(self, result),
        )
        write_page(page, folder / PAGE)


def command(search: EvolveStudy, file: Path) -> str:
    """The command that trains with the best values and what else the trials had in common; of any length.

    Args:
        search: the search.
        file: the best values.
    """
    now, default = search.config.flat(), TrainConfig().flat()
    own = {name for group in ("data", "model", "schedule", "loss", "augment") for name in GROUPS[group].model_fields}
    own.add("max_det")  # decides which epoch is the best
    varied = {*search.evolution.space.parameters, *IN_FILE, "epochs"}
    words = ["lehr train", "--hyp", shlex.quote(str(file))]
    for name, value in now.items():
        if name not in own or name in varied or (value == default[name] and name not in ("data", "model", "imgsz")):
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list):
            words += [word for each in value for word in (f"--{option}", shlex.quote(str(each)))]
        elif value is not None:
            words += [f"--{option}", shlex.quote(f"{value:.10g}" if isinstance(value, float) else str(value))]
    return " ".join(words)


def best_record(records: Sequence[Record]) -> Record | None:
    """The fittest of the trials that were trained to their end."""
    done = [record for record in records if record.state == "finished" and record.fitness is not None]
    return max(done, key=lambda record: record.fitness or 0.0, default=None)


def write_evolved(best: Record, search: EvolveStudy, fitness: str, path: Path) -> None:
    """Write the best values as a file for `--hyp`; atomically.

    The optimizer and its batch are named, since `auto` would choose them differently in a run of another length.

    Args:
        best: the trial that found them.
        search: the search.
        fitness: the maximised metric.
        path: the file.

    Raises:
        InputError: it cannot be written.
    """
    config, choice = search.config, search.run.plan.optimizer
    model = config.model.model
    values: dict[str, Any] = {"optimizer": choice.name, "nominal_batch": choice.nominal_batch}
    if not config.family.anchors:
        values["family"] = config.family.name
    values |= dict(best.params)
    lines = (
        f"The best of a search: trial {best.slot}, fitness {best.fitness:.5f} ({fitness}).",
        f"{model}, {config.data.data}, {config.imgsz} pixels, {counted(config.epochs, 'epoch')}, batch "
        f"{config.batch}, seed "
        f"{config.run.seed}.",
        f"Use it: {command(search, path)}",
    )
    head = "".join(f"# {one_line(line)}\n" for line in lines)
    write_text(path, head + yaml.safe_dump(values, sort_keys=False))

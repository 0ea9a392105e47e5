"""`lehr ablate`: runs an ablation and writes its results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lehr.config import TrainConfig, build_config
from lehr.search.ablation import SEED, Ablation
from lehr.search.effects import Effect, Run, effects, noise
from lehr.search.fitness import METRICS, parse_fitness
from lehr.search.ineffective import without_ineffective
from lehr.search.records import Record
from lehr.search.sample_size import scipy_stats, seeds_needed
from lehr.search.switches import choose
from lehr.studies.estimate import measure_epoch
from lehr.studies.options import AblateOptions, StudyOptions
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
from lehr.studies.trial_files import own_folder
from lehr.studies.trials_csv import write_table, write_text

TABLE, EFFECTS, MARKDOWN = "ablation.csv", "effects.json", "ablation.md"
MEASURED = ("fitness", "map50", "map", "precision", "recall", "seconds", "memory")
"""Metrics that are compared between runs."""
SIZES = (0.005, 0.01, 0.02, 0.05)
"""Differences for which the needed number of seeds is reported."""


class AblateStudy:
    """An ablation on this machine.

    Args:
        config: the run whose techniques are switched.
        options: the settings of the ablation.
        study: its storage and workers.

    Raises:
        InputError: options, data or techniques cannot be used.
    """

    def __init__(self, config: TrainConfig, options: AblateOptions, study: StudyOptions) -> None:
        require_optuna()
        scipy_stats()  # if missing, report it now and not after the last run
        parse_fitness(study.fitness)
        config = as_begun(config, "ablate")
        self.config, self.options, self.study = config, options, study
        names = [name for name in options.techniques.split(",") if name.strip()]
        switches = choose(names, config, options.technique_file)
        base = shared_options(config)
        self.run, self.data, self.faults = read_data(config)
        asked = Ablation(base, switches, options.mode, study.fitness.replace(" ", ""))
        for on in asked.sets():  # reported now, not by a trial in an hour
            build_config({**config.flat(), **asked.with_techniques(on)}, describe_set(asked, on))
        self.ablation, self.notes = without_ineffective(
            asked, self.run, kept=begun_with(config, "ablate", "techniques")
        )
        self.seeds = [config.run.seed + number for number in range(options.seeds)]

    def describe_set(self, on: frozenset[str] | set[str]) -> str:
        """Describe a set of techniques in a few words."""
        return describe_set(self.ablation, on)

    def describe(self, record: Record) -> str:
        """Describe a trial in a few words."""
        if not record.params:
            return ""
        return f"{self.describe_set(self._on(record))}, seed {record.params.get(SEED)}"

    def run_study(self, verbose: bool = True) -> StudyOutcome:
        """Run the ablation until all trials have ended or it is stopped.

        Args:
            verbose: print its progress.
        """
        return run_study(
            self.ablation,
            self.ablation.definition(self.data),
            self.ablation.slots(self.seeds),
            self.config,
            self.study,
            self.describe,
            lambda folder, _, records: self._write(folder, records),
            verbose=verbose,
        )

    def seconds(self) -> float:
        """Estimate the duration of the ablation here from one trained epoch."""
        places = worker_places(self.config, self.study.jobs)
        local, cores = places[0]
        estimate = measure_epoch({**self.ablation.base, **local_options(self.config), **local}, cores)
        return estimate.seconds(len(self.ablation.sets()) * len(self.seeds), self.config.epochs, len(places))

    def effects(self, records: Sequence[Record]) -> dict[str, list[Effect]]:
        """Estimate what each technique changes, by metric.

        Args:
            records: of the trials.
        """
        runs, names = self._runs(records), tuple(self.ablation.switches)
        return {metric: effects(runs, names, metric) for metric in MEASURED}

    def _runs(self, records: Sequence[Record]) -> list[Run]:
        """Select the usable trials as input of the statistics."""
        return [self._as_run(record) for record in records if record.state in ("finished", "diverged")]

    def _switches(self, record: Record, names: Sequence[str]) -> list[object]:
        """A trial's seed, and which techniques are on."""
        return [record.params.get(SEED, ""), *("on" if record.params.get(name) else "off" for name in names)]

    def _on(self, record: Record) -> frozenset[str]:
        return frozenset(name for name in self.ablation.switches if record.params.get(name))

    def _as_run(self, record: Record) -> Run:
        """Convert a trial to input of the statistics; a diverged one has found nothing."""
        values: dict[str, float] = dict.fromkeys(("fitness", *METRICS), 0.0) if record.state == "diverged" else {}
        values |= {name: value for name, value in record.metrics.items() if record.state == "finished"}
        measured = {"fitness": record.fitness, "seconds": record.seconds, "memory": record.memory}
        values |= {name: value for name, value in measured.items() if value is not None}
        return Run(self._on(record), int(record.params[SEED]), values)

    def _write(self, folder: Path, records: Sequence[Record]) -> None:
        """Write tables, plot and page of the current results."""
        from lehr.report.ablation_page import AblationRun, ablation_page, draw_ablation
        from lehr.report.effects_table import effects_markdown
        from lehr.report.page import write_page

        found = self.effects(records)
        names = tuple(self.ablation.switches)
        write_table(records, (SEED, *names), lambda record: self._switches(record, names), folder / TABLE)
        write_text(folder / EFFECTS, json.dumps(_as_json(found), indent=1) + "\n")
        write_text(folder / MARKDOWN, effects_markdown(found))
        runs = [
            AblationRun(record, tuple(sorted(self._on(record))), int(record.params.get(SEED, 0))) for record in records
        ]
        needed = self.needed(records)
        figures = draw_ablation(found, own_folder(folder / PLOTS))
        page = ablation_page(folder.name, runs, found, needed=needed, figures=figures, metric="fitness")
        write_page(page, folder / PAGE)

    def needed(self, records: Sequence[Record]) -> list[tuple[float, int]]:
        """Differences of fitness, and how many seeds show each; empty if the noise is not known yet."""
        paired, sets = noise(self._runs(records), "fitness").paired, len(self.ablation.sets())
        if paired is None:
            return []
        return [(size, seeds_needed(paired, size, sets=sets)) for size in SIZES]


def describe_set(ablation: Ablation, on: frozenset[str] | set[str]) -> str:
    """Describe a set of techniques in a few words.

    Args:
        ablation: of which it is one.
        on: the techniques that are on.
    """
    every, mode = ablation.switches, ablation.mode
    if set(on) == set(every):
        return "all on" if mode != "add-one-in" or len(every) != 1 else f"with {next(iter(every))}"
    if not on:
        return "all off"
    if mode == "leave-one-out":
        return "without " + ", ".join(name for name in every if name not in on)
    return "with " + ", ".join(name for name in every if name in on)


def _as_json(found: Mapping[str, Sequence[Effect]]) -> dict[str, list[dict[str, object]]]:
    return {metric: [asdict(effect) for effect in each] for metric, each in found.items()}

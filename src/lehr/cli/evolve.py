"""`lehr evolve`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.cli.train_options import FIRST, RunArguments, RunParameter
from lehr.runtime.counted import counted
from lehr.studies.options import EvolveOptions, StudyOptions


def evolve(
    *,
    evolution: Annotated[EvolveOptions, Parameter(name="*", group=FIRST["Evolution"])] = EvolveOptions(),
    study: Annotated[StudyOptions, Parameter(name="*", group=FIRST["Study"])] = StudyOptions(),
    dry_run: Annotated[bool, Parameter(negative=(), group=FIRST["Study"])] = False,
    quiet: Quiet = False,
    run: RunParameter = RunArguments(),
) -> None:
    """Search for better hyperparameters: each trial is a training run, the first with the values as they are.

    Takes the options of `lehr train`. The same command goes on with a study that was stopped, and joins it from other
    terminals and machines (with the same --name and --storage). --name is `evolve` unless given. The study's folder
    holds evolve.csv, hyp_evolved.yaml (for `lehr train --hyp`), report.html, plots, and the runs themselves in trials.

    Parameters
    ----------
    dry_run:
        Say what would be varied and about how long it would take, from one epoch that is trained, and stop.
    """
    from lehr.cli.output import show, speaker
    from lehr.preview import describe_without_effect
    from lehr.runtime.console import duration
    from lehr.studies.dry_run import describe_space
    from lehr.studies.evolve import EVOLVED, EvolveStudy, best_record, command

    settings, say = run.settings(), speaker(quiet)
    search = EvolveStudy(settings, evolution, study)
    notes = (*settings.notes, *describe_without_effect(search.run), *search.faults, *search.evolution.space.notes)
    if evolution.prune_after is not None and evolution.pruner == "none":
        notes = (*notes, f"--prune-after {evolution.prune_after} has no effect: --pruner is none.")
    for note in notes:
        say(note)
    if dry_run:
        show(describe_space(search.evolution.space))
        say(
            f"{counted(evolution.trials, 'trial')} of {counted(settings.epochs, 'epoch')}: the first with the "
            f"values of now, the others by "
            f"--sampler {evolution.sampler}, pruned by --pruner {evolution.pruner}. One epoch is trained to estimate "
            "the time ..."
        )
        say(f"About {duration(search.seconds())} here if nothing is pruned.")
        return
    done = search.run_study(verbose=not quiet)
    best, first = best_record(done.records), done.records[0]
    if best is None:
        say("No trial has finished yet." if not done.ended else "No trial has finished.")
        return
    before = f", {first.fitness:.4f} with the values of before" if first.fitness is not None else ""
    show(
        f"\n{'Ended' if done.ended else 'The time is over; the same command goes on'}. Best fitness {best.fitness:.4f} "
        f"(trial {best.slot}){before}.\n"
        f"  {command(search, done.folder / EVOLVED)}\n"
        f"  {done.folder / 'report.html'} shows what mattered"
    )

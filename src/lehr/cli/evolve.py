"""`lehr evolve`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.cli.train_options import RunArguments, RunParameter
from lehr.options.help_groups import HelpGroup
from lehr.runtime.counted import counted
from lehr.studies.options import EvolveOptions, StudyOptions


def evolve(
    *,
    evolution: Annotated[EvolveOptions, Parameter(name="*", group=HelpGroup.STUDY)] = EvolveOptions(),
    study: Annotated[StudyOptions, Parameter(name="*", group=HelpGroup.WORKERS)] = StudyOptions(),
    dry_run: Annotated[bool, Parameter(negative=(), group=HelpGroup.STUDY)] = False,
    quiet: Quiet = False,
    run: RunParameter = RunArguments(),
) -> None:
    """Search for better hyperparameters.

    Takes the options of `lehr train`; each trial is a training, the first with the current values. The same command
    resumes a study. With the same --name and --storage it joins it from other machines. The study's folder,
    runs/evolve, holds report.html. Its hyp_evolved.yaml is for `lehr train --hyp`.

    Parameters
    ----------
    dry_run:
        Say what would be varied and how long it would take.

    Examples
    --------
    Search with 50 short trainings:
        lehr evolve data.yaml --weights yolov8n.pt --epochs 20 --trials 50
    Say first how long that would take:
        lehr evolve data.yaml --weights yolov8n.pt --epochs 20 --dry-run
    """
    from lehr.cli.output import check_writable, show, speaker
    from lehr.preview import describe_without_effect
    from lehr.runtime.console import duration
    from lehr.studies.dry_run import describe_space
    from lehr.studies.evolve import EVOLVED, EvolveStudy, best_record, command

    settings, say = run.settings(), speaker(quiet)
    check_writable(settings.run.project, "--project")
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
            f"current values, the others by "
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
        f"\n{'Ended' if done.ended else 'The time is up; the same command resumes the study'}. "
        f"Best fitness {best.fitness:.4f} "
        f"(trial {best.slot}){before}.\n"
        f"  {command(search, done.folder / EVOLVED)}\n"
        f"  {done.folder / 'report.html'} shows what mattered"
    )

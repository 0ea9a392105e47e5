"""`lehr ablate`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.cli.train_options import FIRST, RunArguments, RunParameter
from lehr.studies.options import AblateOptions, StudyOptions


def ablate(
    *,
    ablation: Annotated[AblateOptions, Parameter(name="*", group=FIRST["Ablation"])] = AblateOptions(),
    study: Annotated[StudyOptions, Parameter(name="*", group=FIRST["Study"])] = StudyOptions(),
    dry_run: Annotated[bool, Parameter(negative=(), group=FIRST["Study"])] = False,
    quiet: Quiet = False,
    run: RunParameter = RunArguments(),
) -> None:
    """Tell which techniques help on your data: trains with and without each, over several seeds, and compares.

    Takes the options of `lehr train`. The same command goes on with a study that was stopped, and joins it from other
    terminals and machines (with the same --name and --storage); with more --seeds it adds to it. --name is `ablate`
    unless given. The study's folder holds ablation.csv, ablation.md, effects.json, report.html, plots, and the runs
    themselves in trials.

    Parameters
    ----------
    dry_run:
        List the runs and say about how long they would take, from one epoch that is trained, and stop.
    """
    from lehr.cli.output import show, speaker
    from lehr.preview import describe_without_effect
    from lehr.report.effects_table import answers, effects_text
    from lehr.runtime.console import duration
    from lehr.studies.ablate import AblateStudy
    from lehr.studies.dry_run import describe_runs, describe_switches

    settings, say = run.settings(), speaker(quiet)
    search = AblateStudy(settings, ablation, study)
    for note in (*settings.notes, *describe_without_effect(search.run), *search.faults, *search.notes):
        say(note)
    if dry_run:
        show(describe_switches(search.ablation))
        show(describe_runs(search))
        say("One epoch is trained to estimate the time ...")
        say(f"About {duration(search.seconds())} here.")
        return
    done = search.run_study(verbose=not quiet)
    found = search.effects(done.records)
    shown = {metric: found[metric] for metric in ("fitness", "map50", "map", "seconds", "memory")}
    show("\n" + effects_text(shown))
    show("\n" + "\n".join(answers(found, "fitness")))
    needed = search.needed(done.records)
    if needed:
        say("Seeds that show a difference of fitness: " + ", ".join(f"{size:g}: {count}" for size, count in needed))
    if not done.ended:
        say("The time is over; the same command goes on.")
    say(f"{done.folder / 'report.html'} shows every run")

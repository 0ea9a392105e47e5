"""`lehr ablate`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.cli.train_options import RunArguments, RunParameter
from lehr.options.help_groups import HelpGroup
from lehr.studies.options import AblateOptions, StudyOptions


def ablate(
    *,
    ablation: Annotated[AblateOptions, Parameter(name="*", group=HelpGroup.STUDY)] = AblateOptions(),
    study: Annotated[StudyOptions, Parameter(name="*", group=HelpGroup.WORKERS)] = StudyOptions(),
    dry_run: Annotated[bool, Parameter(negative=(), group=HelpGroup.STUDY)] = False,
    quiet: Quiet = False,
    run: RunParameter = RunArguments(),
) -> None:
    """Measure which techniques help on your data.

    Takes the options of `lehr train`; trains with and without each technique, over several seeds. The same command
    resumes a study. With the same --name and --storage it joins it from other machines. More --seeds add to it. The
    study's folder, runs/ablate, holds report.html and ablation.csv.

    Parameters
    ----------
    dry_run:
        List the runs and say how long they would take.

    Examples
    --------
    Find out whether mosaic and EMA help, with three seeds:
        lehr ablate data.yaml --epochs 30 --techniques mosaic,ema
    Say first how long that would take:
        lehr ablate data.yaml --epochs 30 --techniques mosaic,ema --dry-run
    """
    from lehr.cli.output import check_writable, show, speaker
    from lehr.preview import describe_without_effect
    from lehr.report.effects_table import answers, effects_text
    from lehr.runtime.console import duration
    from lehr.studies.ablate import AblateStudy
    from lehr.studies.dry_run import describe_runs, describe_switches

    settings, say = run.settings(), speaker(quiet)
    check_writable(settings.run.project, "--project")
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
        say("The time is up; the same command resumes the study.")
    say(f"{done.folder / 'report.html'} shows every run")

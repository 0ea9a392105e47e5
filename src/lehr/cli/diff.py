"""`lehr diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Quiet
from lehr.options.help_groups import HelpGroup


def diff(
    first: Annotated[Path, Parameter(group=HelpGroup.BASICS, help="A run's folder.")],
    second: Annotated[Path, Parameter(group=HelpGroup.BASICS, help="Another run's folder.")],
    *,
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    quiet: Quiet = False,
) -> int:
    """Say how two runs differ, and at which step they diverge.

    The exit code is 0 where the runs are equal, else 1. Compares options, data, versions and machine. Then compares
    each step, by logged losses and results.csv. After `lehr train --digests` it compares digests. Places, versions and
    machine alone make no difference.

    Parameters
    ----------
    json:
        Write the comparison to this file.

    Examples
    --------
    Find out why two runs gave different results:
        lehr diff runs/train runs/train-2
    """
    from lehr.cli.output import check_output, speaker, write_json
    from lehr.comparison.describe import difference_lines, difference_values
    from lehr.comparison.difference import compare_runs

    check_output(json, "--json")
    found, say = compare_runs(first, second), speaker(quiet)
    for line in difference_lines(found):
        say(line)
    if json is not None:
        write_json(json, difference_values(found))
    return 0 if found.equal else 1

"""`lehr diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lehr.cli.options import Quiet


def diff(
    first: Annotated[Path, Parameter(help="A run's folder.")],
    second: Annotated[Path, Parameter(help="Another run's folder.")],
    *,
    json: Annotated[Path | None, Parameter(group="Output")] = None,
    quiet: Quiet = False,
) -> int:
    """Say in what two runs differ, and at which step they part: exit 0 where they are equal, 1 where not.

    Compares options, data, versions and machine; then step by step what both were made of and came to, by the digests
    of `lehr train --digests`, else by logged losses and results.csv. Steps count from 1. Places, versions and machine
    alone make no difference.

    Parameters
    ----------
    json:
        Write the comparison to this file.
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

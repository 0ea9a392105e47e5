"""`lehr doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lehr.options.help_groups import HelpGroup


def doctor(
    *,
    device: Annotated[str | None, Parameter(group=HelpGroup.BASICS, show_default=False)] = None,
    data: Annotated[str | None, Parameter(group=HelpGroup.BASICS, show_default=False)] = None,
    project: Annotated[Path, Parameter(group=HelpGroup.BASICS, metavar="FOLDER")] = Path("runs"),
    json: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
) -> int:
    """Test what this machine can do and what is missing.

    The exit code is 1 when no training can run here. Tests devices, their speed, versions, cores, memory, disks and
    decoding. Takes about 15 seconds and leaves nothing behind.

    Parameters
    ----------
    device:
        auto, cpu, cuda, mps, or a GPU such as 0 (unset: all).
    data:
        Data set whose disk is measured (unset: that of the cache folder).
    project:
        Folder of runs, whose disk is measured.
    json:
        Write all findings to this file.

    Examples
    --------
    Test everything:
        lehr doctor
    Test the GPU, and the disk that your data is on:
        lehr doctor --device 0 --data data.yaml
    """
    from lehr.cli.output import check_output, show, write_json
    from lehr.doctor.examine import examine
    from lehr.doctor.report import as_dict, text
    from lehr.doctor.verdict import problems

    check_output(json, "--json")
    found = examine(device, data, project, show)
    show(text(found))
    if json is not None:
        write_json(json, as_dict(found))
    return 1 if problems(found) else 0

"""`lehr doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def doctor(
    *,
    device: Annotated[str | None, Parameter(group="Machine", show_default=False)] = None,
    data: Annotated[str | None, Parameter(group="Machine", show_default=False)] = None,
    project: Annotated[Path, Parameter(group="Machine")] = Path("runs"),
    json: Annotated[Path | None, Parameter(group="Output")] = None,
) -> int:
    """Try what this machine can do, and tell what is missing; exit 1 when no training can run here.

    Devices, the precisions that really work on them and how fast, versions, cores, memory, torch.compile, disks and
    decoding. Takes ten to fifteen seconds and leaves nothing behind.

    Parameters
    ----------
    device:
        Examine only this one: auto, cpu, cuda, mps or a CUDA index such as 0 (unset: all).
    data:
        A folder or data YAML, whose disk is measured (unset: the cache folder: LEHR_CACHE, else the system's,
        on Linux ~/.cache/lehr).
    project:
        Folder of runs, whose disk is measured; need not exist yet.
    json:
        Write all findings to this file.
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

"""`lehr report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Quiet


def report(
    run: Path,
    /,
    *,
    serve: Annotated[bool, Parameter(negative=(), group="Output")] = False,
    port: Annotated[int, Parameter(group="Output", validator=Number(gte=0, lte=65535))] = 8017,
    plots: Annotated[bool, Parameter(group="Output")] = True,
    quiet: Quiet = False,
) -> None:
    """Write the page of a run into its folder: report.html, one file that opens offline.

    Its figures are files in the folder plots too, as PNG and SVG, where matplotlib is installed.

    Parameters
    ----------
    run:
        The run's folder, e.g. runs/train.
    serve:
        Write nothing, and show the page on this machine until Ctrl-C instead; it follows a run that trains.
    port:
        Port of --serve on 127.0.0.1; 0 for any that is free.
    plots:
        Draw the figures as files.
    """
    from lehr.cli.output import speaker

    say = speaker(quiet)
    if serve:
        from lehr.report.live_run import serve_run

        serve_run(run, port, say)
        return
    from lehr.report.run_page import build_page

    path, late = build_page(run, plot_kinds=(".png", ".svg") if plots else ())
    say(f"Page: {path}")
    if late:
        say("Plots need matplotlib: pip install 'lehr[plots]'.")

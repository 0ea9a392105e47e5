"""`lehr report`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lehr.cli.options import Quiet
from lehr.errors import InputError
from lehr.options.help_groups import HelpGroup
from lehr.runtime.installing import how_to_install


def report(
    run: Annotated[Path, Parameter(group=HelpGroup.BASICS)],
    /,
    *others: Annotated[Path, Parameter(group=HelpGroup.BASICS)],
    out: Annotated[Path | None, Parameter(group=HelpGroup.OUTPUT)] = None,
    serve: Annotated[bool, Parameter(negative=(), group=HelpGroup.OUTPUT)] = False,
    port: Annotated[int, Parameter(group=HelpGroup.OUTPUT, validator=Number(gte=0, lte=65535))] = 8017,
    plots: Annotated[bool, Parameter(group=HelpGroup.OUTPUT)] = True,
    quiet: Quiet = False,
) -> None:
    """Write the page of a run, or a comparison of several.

    The page is one HTML file that opens offline: report.html in the run's folder. Its figures are also written as
    files, where matplotlib is installed.

    Parameters
    ----------
    run:
        A run's folder, e.g. runs/train.
    others:
        Further runs, to compare with the first.
    out:
        File of a comparison (unset: comparison.html).
    serve:
        Show the page of a run while it trains, until Ctrl-C.
    port:
        Port of --serve on 127.0.0.1; 0 for any free one.
    plots:
        Write the figures as files, too.

    Examples
    --------
    Write the page of a run:
        lehr report runs/train
    Compare three runs:
        lehr report runs/train runs/train-2 runs/train-3 --out comparison.html
    Watch a run that is training:
        lehr report runs/train --serve
    """
    from lehr.cli.output import check_writable, speaker

    say = speaker(quiet)
    kinds = (".png", ".svg") if plots else ()
    if others:
        _compare([run, *others], out, kinds, serve, say)
        return
    if out is not None:
        raise InputError(f"--out {out}: is the file of a comparison; the page of one run goes into its folder.")
    if serve:
        from lehr.report.live_run import serve_run

        serve_run(run, port, say)
        return
    if run.is_dir():
        check_writable(run, "RUN")
    from lehr.report.run_page import build_page

    path, late = build_page(run, plot_kinds=kinds)
    say(f"Page: {path}")
    if late:
        say(f"Plots need matplotlib. {how_to_install('plots')}")


def _compare(
    runs: Sequence[Path], out: Path | None, kinds: Sequence[str], serve: bool, say: Callable[[str], None]
) -> None:
    """Write the page of several runs.

    Raises:
        InputError: one is not a folder of a run, or the page cannot be written or is to be served.
    """
    from lehr.cli.output import check_output
    from lehr.report.comparison_page import COMPARISON, build_comparison

    if serve:
        raise InputError("--serve: shows one run as it trains. Name one run, or omit --serve to write a comparison.")
    path = out or Path(COMPARISON)
    check_output(path, "--out", (".html",))
    written, late = build_comparison(runs, path, plot_kinds=kinds)
    say(f"Page: {written}")
    if late:
        say(f"Plots need matplotlib. {how_to_install('plots')}")

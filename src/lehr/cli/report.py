"""`lehr report`."""

from __future__ import annotations

from pathlib import Path

from lehr.cli.options import Quiet


def report(run: Path, /, *, quiet: Quiet = False) -> None:
    """Write the page of a run into its folder: report.html, one file that opens offline.

    Parameters
    ----------
    run:
        The run's folder, e.g. runs/train.
    """
    from lehr.cli.output import speaker
    from lehr.report.run_page import build_page

    speaker(quiet)(f"Page: {build_page(run)}")

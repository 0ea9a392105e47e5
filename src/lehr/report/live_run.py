"""The page of a run, shown live while it trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from lehr.checkpoint.results_csv import RESULTS
from lehr.checkpoint.run_folder import CONFIG, DETECTIONS
from lehr.report.page import render_page
from lehr.report.run_files import read_run
from lehr.report.run_page import run_page
from lehr.report.serve import PageServer, State


def serve_run(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Show the page of a run on this machine until Ctrl-C.

    Args:
        folder: the run's folder.
        port: on 127.0.0.1; 0 for any that is free.
        say: called with where the page is.

    Raises:
        InputError: it is not a folder of a run, or the port cannot be listened on.
    """
    read_run(folder)
    with run_server(folder, port) as server:
        say(f"{folder} is shown at {server.address} (Ctrl-C ends it).")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("Stopped.")


def run_server(folder: Path, port: int = 0) -> PageServer:
    """Return the server of a run's page.

    Raises:
        InputError: the port cannot be listened on.
    """
    return PageServer(lambda: _state(folder), lambda: render_page(run_page(read_run(folder), live=True)), port)


def _state(folder: Path) -> State:
    """Return what has been written last; results.csv is written once per epoch."""
    written = {}
    for name in (CONFIG, RESULTS, DETECTIONS):
        try:
            status = (folder / name).lstat()
        except OSError:
            continue
        written[name] = status.st_mtime_ns, status.st_size
    last = max((moment for moment, _ in written.values()), default=0)
    clock = time.strftime("%H:%M:%S", time.localtime(last / 1e9))
    text = f"Connected. The last epoch was written at {clock}." if RESULTS in written else "No epoch has finished yet."
    return State(str(sorted(written.items())), text)

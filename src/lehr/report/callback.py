"""Builds the page of a run in the last seconds of its training, and never at the cost of the run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import TrainEnd
from lehr.errors import LehrError
from lehr.runtime.plain_text import entry

SWITCH = "LEHR_REPORT"
"""Variable of the environment that, set to `off`, does what --no-report does for all runs."""
PAGE_SECONDS = 20.0
"""Seconds after which no further section of a page is begun."""
SHORT_RUN = 60.0
"""Seconds up to which a run gets its page alone, and its plots by `lehr report`."""
PLOT_SHARE, MIN_PLOT_SECONDS, MAX_PLOT_SECONDS = 0.01, 5.0, 20.0
"""Share of a longer run's time that drawing plots may take, and its bounds in seconds."""


class ReportCallback(Callback):
    """Builds `report.html`, and `plots/` where there is time for them, when the training is done.

    Whatever goes wrong is said in a line and ends nothing: `lehr report RUN` builds the page again.

    Args:
        say: called with where the page is.
    """

    name = "lehr.report"

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def on_train_end(self, event: TrainEnd) -> None:
        """Build the page."""
        if os.environ.get(SWITCH, "").lower() == "off":
            return
        folder = event.run.folder
        began = time.monotonic()
        try:
            from lehr.report.run_page import build_page

            path, late = build_page(folder, seconds=PAGE_SECONDS, plot_seconds=plot_seconds(event.seconds))
        except Exception as error:  # the run is done: nothing of its page may end it
            reason = str(error) if isinstance(error, LehrError) else f"{type(error).__name__}: {error}"
            self._say(entry(f"The page could not be built ({reason}). lehr report {folder} tries again."))
            return
        rest = f"; lehr report {folder} draws the plots" if late else ""
        self._say(entry(f"Page: {path}, built in {time.monotonic() - began:.1f} s{rest}."))


def plot_seconds(run_seconds: float) -> float:
    """Return how long plots may be drawn at the end of a run.

    Args:
        run_seconds: what the run took.
    """
    if not math.isfinite(run_seconds) or run_seconds < SHORT_RUN:
        return 0.0
    return min(max(PLOT_SHARE * run_seconds, MIN_PLOT_SECONDS), MAX_PLOT_SECONDS)

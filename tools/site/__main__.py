"""Build the documentation site: `python -m tools.site`, or `make docs`.

Writes `site/`, which opens from the disk and asks nothing of any server. Fails on a broken link or anchor, a page that
the navigation does not name, a name of the reference that is not there, and whatever else Zensical warns of.
"""

from __future__ import annotations

import sys

from tools.site.build import build

if __name__ == "__main__":
    sys.exit(build())

"""Ask pip-audit whether faults are known in the packages that are installed; where it cannot be asked, say so.

python tools/audit.py
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

SECONDS = 15


def known_faults(report: str) -> list[str] | None:
    """The packages of a report of pip-audit that have known faults, a line each; None where it is not a report.

    Args:
        report: JSON, as pip-audit writes it.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return [
        f"{package['name']} {package['version']}: {fault['id']}; mended in {', '.join(fault['fix_versions']) or 'none'}"
        for package in packages
        for fault in package.get("vulns", ())
    ]


def main() -> int:
    """Print the faults; exit with 1 where there are some."""
    if importlib.util.find_spec("pip_audit") is None:
        print("pip-audit is not installed: known faults of packages are not looked up.")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable"]
    try:
        done = subprocess.run(
            [*command, "--timeout", str(SECONDS)], capture_output=True, text=True, timeout=20 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(command, 1, "", "")
    faults = known_faults(done.stdout)
    if faults is None:
        print("pip-audit cannot reach its list: known faults of packages are not looked up.")
        return 0
    print("\n".join(faults) or "No faults are known of the packages that are installed.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

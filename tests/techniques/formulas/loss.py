"""Pages of the section "The loss"."""

from __future__ import annotations

from tests.techniques.formulas.check import Checks

CHECKS: dict[str, Checks] = {}

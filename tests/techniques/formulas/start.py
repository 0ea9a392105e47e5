"""Pages of the section "The model's start"."""

from __future__ import annotations

from tests.techniques.formulas.check import Checks

CHECKS: dict[str, Checks] = {}

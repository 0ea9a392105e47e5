"""Pages of the section "The course of a run"."""

from __future__ import annotations

from tests.techniques.formulas.check import Checks

CHECKS: dict[str, Checks] = {}

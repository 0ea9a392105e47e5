"""Bounds of a model's class names."""

from __future__ import annotations

MAX_CLASSES = 100_000
"""Classes of a model: several times those of the largest data sets."""
MAX_NAME = 1_000
"""Characters of a class name."""
MAX_NAMES = 4 * 2**20
"""Characters of all class names together, as the JSON of a weights file."""

"""The family `toy`: its value, which Lehr reads without loading torch."""

from __future__ import annotations

from lehr.models.family import Family
from lehr.models.scale import Scale

TOY = Family(
    "toy",
    scales={"-n": Scale(1.0, 0.5), "-s": Scale(1.0, 1.0)},
    build="lehr_example.model:Toy",
    gains={"box": 7.5, "cls": 0.5},
    options=("dfl", "least_side", "tal_topk", "tal_alpha", "tal_beta"),
)

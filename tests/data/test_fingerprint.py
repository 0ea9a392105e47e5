"""The fingerprint of data: equal for equal data wherever they lie, other for any change that training would notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lehr.data.fingerprint import fingerprint
from lehr.sample import Sample


def sample(name: str = "a/1.jpg", x: float = 1.0, label: int = 0) -> Sample:
    return Sample(Path(name), 64, 48, np.array([[x, 2, 30, 40]], np.float32), np.array([label]))


def test_only_the_place_may_differ() -> None:
    whole = fingerprint(["a", "b"], [sample(), sample("a/2.jpg")], [sample("a/3.jpg")])
    assert whole == fingerprint(["a", "b"], [sample("x/y/1.jpg"), sample("x/y/2.jpg")], [sample("z/3.jpg")])
    others = [
        fingerprint(["a", "c"], [sample(), sample("a/2.jpg")], [sample("a/3.jpg")]),
        fingerprint(["a", "b"], [sample("a/2.jpg"), sample()], [sample("a/3.jpg")]),
        fingerprint(["a", "b"], [sample(), sample("a/2.jpg"), sample("a/3.jpg")], []),
        fingerprint(["a", "b"], [sample(), sample("a/4.jpg")], [sample("a/3.jpg")]),
        fingerprint(["a", "b"], [sample(x=1.5), sample("a/2.jpg")], [sample("a/3.jpg")]),
        fingerprint(["a", "b"], [sample(label=1), sample("a/2.jpg")], [sample("a/3.jpg")]),
        fingerprint(["a", "b"], [replace(sample(), width=65), sample("a/2.jpg")], [sample("a/3.jpg")]),
    ]
    assert len({whole, *others}) == len(others) + 1

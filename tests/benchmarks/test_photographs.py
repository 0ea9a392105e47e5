"""Drawn photographs are data that Lehr reads, the same for a seed, and cost to decode as much as photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import photographs
from lehr.data.load import load_dataset


def test_drawn_photographs_are_read_and_repeat(tmp_path: Path) -> None:
    for name in ("a", "b"):
        photographs.write(tmp_path / name, "train", 3, (320, 240), np.random.default_rng(0))
        photographs.write(tmp_path / name, "val", 1, (320, 240), np.random.default_rng(1))
    (tmp_path / "a" / "data.yaml").write_text(
        f"train: images/train\nval: images/val\nnames: {list(photographs.CLASSES)}\n"
    )
    dataset = load_dataset(str(tmp_path / "a" / "data.yaml"))
    assert dataset.faults == ()
    for sample in dataset.splits["train"]:
        data = sample.path.read_bytes()
        assert (tmp_path / "b" / sample.path.relative_to(tmp_path / "a")).read_bytes() == data
        assert 3 <= len(sample.classes) <= 12
        assert 0.8 < 8 * len(data) / (320 * 240) < 4  # bits a pixel, as photographs have
    assert len({sample.path.read_bytes() for sample in dataset.splits["train"]}) == 3

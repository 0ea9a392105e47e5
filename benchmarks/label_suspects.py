"""Plant label faults, train on them, and count how many of the first suspects are planted.

    python benchmarks/label_suspects.py --data D --weights W --out FOLDER [--imgsz 320] [--epochs 25] [--share 0.05]

Writes a copy of the data set in which, in all splits, a share of the boxes is removed and an equal share has another
class. Trains a model on these labels, from weights that have not seen the data, and ranks the suspects of each split as
on the page of a run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lehr import Detector
from lehr.analysis.record import DetectionRecord, make_record
from lehr.analysis.suspects import Suspect, SuspectKind, box_ious, find_suspects
from lehr.data.load import load_dataset
from lehr.data.write import write_dataset
from lehr.sample import Dataset, Sample


@dataclass(frozen=True, slots=True)
class Planted:
    """A planted fault.

    Attributes:
        image: the image's name, without suffix.
        box: xyxy, pixels of the image.
        kind: "removed" or "swapped".
        class_id: the right class.
    """

    image: str
    box: tuple[float, float, float, float]
    kind: str
    class_id: int


def plant(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, list[Planted]]:
    """Remove boxes and swap classes.

    Args:
        dataset: a data set with correct labels.
        share: share of the boxes of each split that are removed; as many others get another class.
        seed: seed of the draw.

    Returns:
        The data set with wrong labels, and the planted faults.
    """
    splits: dict[str, list[Sample]] = {}
    planted: list[Planted] = []
    for number, (split, samples) in enumerate(dataset.splits.items()):
        rng = np.random.default_rng((seed, number))
        owner = np.repeat(np.arange(len(samples)), [len(sample.classes) for sample in samples])
        place = np.concatenate([np.arange(len(sample.classes)) for sample in samples])
        count = round(share * len(owner))
        drawn = rng.permutation(len(owner))[: 2 * count]
        changed = list(samples)
        for index in sorted(drawn[count:].tolist()):
            sample, at = changed[owner[index]], place[index]
            planted.append(_planted(sample, at, "swapped"))
            classes = sample.classes.copy()
            classes[at] = (classes[at] + rng.integers(1, len(dataset.names))) % len(dataset.names)
            changed[owner[index]] = replace(sample, classes=classes)
        for index in sorted(drawn[:count].tolist(), reverse=True):  # from the last, so that indices stay valid
            sample, at = changed[owner[index]], place[index]
            planted.append(_planted(sample, at, "removed"))
            kept = np.arange(len(sample.classes)) != at
            difficult = None if sample.difficult is None else sample.difficult[kept]
            changed[owner[index]] = replace(
                sample, boxes=sample.boxes[kept], classes=sample.classes[kept], difficult=difficult
            )
        splits[split] = changed
    return replace(dataset, splits=dict(splits)), planted


def _planted(sample: Sample, at: int, kind: str) -> Planted:
    x1, y1, x2, y2 = sample.boxes[at].tolist()
    return Planted(sample.path.stem, (x1, y1, x2, y2), kind, int(sample.classes[at]))


def is_planted(suspect: Suspect, sample: Sample, planted: Sequence[Planted]) -> bool:
    """Return whether a suspect is a planted fault: at the place of a removed box, or the box with a swapped class.

    Args:
        suspect: the suspect.
        sample: the image.
        planted: the faults.
    """
    missing = suspect.kind is SuspectKind.MISSING
    return any(
        each.image == sample.path.stem
        and missing == (each.kind == "removed")
        and box_ious(np.array([suspect.box]), np.array([each.box]))[0, 0] >= (0.5 if missing else 0.95)
        for each in planted
    )


def planted_among_first(record: DetectionRecord, planted: Sequence[Planted], counts: Sequence[int]) -> list[int]:
    """Count how many of the first suspects are planted.

    Args:
        record: detections of a model that was trained on the faulty labels.
        planted: the faults.
        counts: numbers of first suspects.
    """
    found = find_suspects(record, max(counts))
    hits = [is_planted(suspect, record.samples[suspect.image], planted) for suspect in found]
    return [sum(hits[:count]) for count in counts]


def main() -> None:
    """Plant faults, train, and rank the suspects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--share", type=float, default=0.05)
    args = parser.parse_args()
    wrong, planted = plant(load_dataset(args.data), args.share, seed=0)
    data, best = args.out / "data", args.out / "run" / "best.safetensors"
    if not best.exists():
        write_dataset(wrong, "yolo", data)
        run = {"imgsz": args.imgsz, "epochs": args.epochs, "project": str(args.out), "name": "run"}
        Detector.load(args.weights).train(data=str(data / "data.yaml"), **run)
    counts = (10, 20, 50, 100)
    print("| split | images | planted | " + " | ".join(f"of the first {count}" for count in counts) + " |")
    print("|---|---:|---:|" + "---:|" * len(counts))
    for split in wrong.splits:
        record = make_record(Detector.load(best).val(data / "data.yaml", split=split))
        own = {sample.path.stem for sample in record.samples}
        of_split = [each for each in planted if each.image in own]
        hits = planted_among_first(record, of_split, counts)
        print(f"| {split} | {len(own)} | {len(of_split)} | " + " | ".join(map(str, hits)) + " |")


if __name__ == "__main__":
    main()

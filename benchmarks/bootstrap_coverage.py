"""Share of intervals of the paired bootstrap that contain the true difference of two detectors.

    python benchmarks/bootstrap_coverage.py [--pairs 400] [--images 10,20,50,87,300] [--draws 2000] [--epochs 0]

Detectors are made up: each finds an object with a probability, a score and an IoU that depend on how hard the object
and its image are, which both detectors share, and on luck of its own; and each sees objects where there are none. The
true difference is that of 100,000 images. With `--epochs N` the second detector is the best of N, equal in
truth, that was chosen on the same images, as the best epoch of a run is: how often does it look better than the start,
and how often does the last one?
"""

from __future__ import annotations

import argparse
import time
from functools import cache

import numpy as np

from lehr.evaluation.bootstrap import average_precision, compare
from lehr.evaluation.matching import IOUS, ClassMatches, MatchRecord, record_of

CLASSES = np.array([0.6, 0.3, 0.1])
"""Share of each class among the objects."""
POPULATION = 100_000


class World:
    """Images with objects and how hard each is, for detectors to be made up on.

    Args:
        rng: draws all of it.
        images: how many.
    """

    def __init__(self, rng: np.random.Generator, images: int) -> None:
        self.images = images
        counts = rng.poisson(np.exp(rng.normal(1.3, 0.7, images)))
        self.image = np.repeat(np.arange(images), counts)
        self.classes = rng.choice(len(CLASSES), len(self.image), p=CLASSES)
        self.image_hardness = rng.normal(0, 0.6, images)
        self.hardness = self.image_hardness[self.image] + rng.normal(0, 0.8, len(self.image))

    def detector(self, rng: np.random.Generator, skill: float, own: float = 0.7) -> MatchRecord:
        """Return the record of a detector.

        Args:
            rng: its luck.
            skill: what it is better by, in units of the hardness.
            own: spread of its luck with each object.
        """
        margin = skill - self.hardness + rng.normal(0, own, len(self.image))
        found = margin > -1.2
        scores = 1 / (1 + np.exp(-(margin + rng.normal(0, 0.8, len(margin)))))
        overlap = np.clip(0.78 + 0.07 * margin + rng.normal(0, 0.08, len(margin)), 0, 0.999)
        false = rng.poisson(np.exp(1 + 0.5 * self.image_hardness))
        false_image = np.repeat(np.arange(self.images), false)
        false_class = rng.choice(len(CLASSES), len(false_image), p=CLASSES)
        false_scores = 1 / (1 + np.exp(-rng.normal(-1.6, 1.0, len(false_image))))
        image = np.concatenate((self.image[found], false_image))
        classes = np.concatenate((self.classes[found], false_class))
        score = np.concatenate((scores[found], false_scores))
        thresholds = 0.5 + 0.05 * np.arange(IOUS)[:, None]
        hits = np.concatenate((overlap[found] >= thresholds, np.zeros((IOUS, len(false_image)), bool)), 1)
        matches = []
        for class_id in range(len(CLASSES)):
            own_rows = np.flatnonzero(classes == class_id)
            order = own_rows[np.argsort(-score[own_rows], kind="stable")]
            none = np.zeros((IOUS, len(order)), bool)
            matches.append(ClassMatches(score[order], image[order] + 1, hits[:, order], none))
        return record_of(matches, self.images, np.stack((self.image, self.classes), 1))


@cache
def truth(skills: tuple[float, float]) -> float:
    """Return the difference of two detectors in mAP50-95 on very many images; 0 where they are of one skill."""
    if skills[0] == skills[1]:
        return 0.0
    rng = np.random.default_rng(1)
    world = World(rng, POPULATION)
    ones = np.ones((POPULATION, 1))
    first, second = (average_precision(world.detector(rng, skill), ones)[0, 0] for skill in skills)
    return float(second - first)


def coverage(skills: tuple[float, float], images: int, pairs: int, draws: int) -> tuple[float, float, float]:
    """Return the share of intervals with the truth in them, that of better or worse as verdict, and the mean width."""
    true = truth(skills)
    inside, told, width = 0, 0, 0.0
    for pair in range(pairs):
        rng = np.random.default_rng([2, images, pair])
        world = World(rng, images)
        found = compare(*(world.detector(rng, skill) for skill in skills), draws=draws, seed=pair)
        inside += found.low <= true <= found.high
        told += found.verdict != "no difference"
        width += found.high - found.low
    return inside / pairs, told / pairs, width / pairs


def chosen(images: int, epochs: int, pairs: int, draws: int, own: float) -> tuple[float, float]:
    """Return how often the best of some epochs, and the last of them, look better than a start that they equal.

    Args:
        images: to compare on.
        epochs: of a run.
        pairs: runs.
        draws: of the bootstrap.
        own: spread of the luck of each epoch and of the start with each object.
    """
    best_better = last_better = 0
    for pair in range(pairs):
        rng = np.random.default_rng([3, images, pair])
        world, ones = World(rng, images), np.ones((images, 1))
        start, *records = (world.detector(rng, 0.0, own) for _ in range(epochs + 1))
        fitness = [np.array([0.9, 0.1]) @ average_precision(each, ones)[:, 0] for each in records]
        best = records[int(np.argmax(fitness))]
        best_better += compare(start, best, draws=draws, seed=pair).verdict == "better"
        last_better += compare(start, records[-1], draws=draws, seed=pair).verdict == "better"
    return best_better / pairs, last_better / pairs


def main() -> None:
    """Print a line a number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--images", default="10,20,50,87,300")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=0)
    given = parser.parse_args()
    sizes = [int(size) for size in given.images.split(",")]
    if given.epochs:
        print(f"{'images':>6} {'best better':>12} {'last better':>12}")
        for images in sizes:
            best, last = chosen(images, given.epochs, given.pairs, given.draws, 0.3)
            print(f"{images:>6} {best:12.3f} {last:12.3f}", flush=True)
        return
    print(f"{'images':>6} {'skills':>12} {'truth':>7} {'inside':>7} {'verdicts':>9} {'width':>7} {'seconds':>8}")
    for skills in ((0.0, 0.0), (0.0, 0.3)):
        for images in sizes:
            began = time.perf_counter()
            inside, told, width = coverage(skills, images, given.pairs, given.draws)
            took = time.perf_counter() - began
            columns = f"{images:>6} {skills!s:>12} {truth(skills):7.4f} {inside:7.3f} {told:9.3f} {width:7.4f}"
            print(f"{columns} {took:8.1f}", flush=True)


if __name__ == "__main__":
    main()

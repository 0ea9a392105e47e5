"""Share of intervals of the paired bootstrap that contain the true difference of two detectors.

    python benchmarks/bootstrap_coverage.py [--pairs 400] [--images 10,20,50,87,300] [--draws 2000] [--epochs 0]

The detectors are simulated. Whether one finds an object, with which score and which IoU, depends on the difficulty of
the object and of its image, which both detectors share, and on the detector's own random variation; each also reports
objects that do not exist. The true difference is measured on 100,000 images. With `--epochs N`, the second detector is
the best of N equally good ones, chosen on the same images, as the best epoch of a run is: how often does it look better
than the start, and how often does the last one?
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
    """Images and objects of random difficulty, for simulated detectors.

    Args:
        rng: draws all values.
        images: number of images.
    """

    def __init__(self, rng: np.random.Generator, images: int) -> None:
        self.images = images
        counts = rng.poisson(np.exp(rng.normal(1.3, 0.7, images)))
        self.image = np.repeat(np.arange(images), counts)
        self.classes = rng.choice(len(CLASSES), len(self.image), p=CLASSES)
        self.image_hardness = rng.normal(0, 0.6, images)
        self.hardness = self.image_hardness[self.image] + rng.normal(0, 0.8, len(self.image))

    def detector(self, rng: np.random.Generator, skill: float, own: float = 0.7) -> MatchRecord:
        """Return the record of a simulated detector.

        Args:
            rng: draws the detector's own variation.
            skill: advantage over a detector of skill 0, in units of the hardness.
            own: standard deviation of its own variation from object to object.
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
    """Return the difference of two detectors in mAP50-95 on `POPULATION` images; 0 for equal skills."""
    if skills[0] == skills[1]:
        return 0.0
    rng = np.random.default_rng(1)
    world = World(rng, POPULATION)
    ones = np.ones((POPULATION, 1))
    first, second = (average_precision(world.detector(rng, skill), ones)[0, 0] for skill in skills)
    return float(second - first)


def coverage(skills: tuple[float, float], images: int, pairs: int, draws: int) -> tuple[float, float, float]:
    """Return the share of intervals that contain the truth, that of verdicts of a difference, and the mean width."""
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
    """Return how often the best and the last of some epochs look better than a start of equal skill.

    Args:
        images: number of images to compare on.
        epochs: epochs per run.
        pairs: number of runs.
        draws: draws of the bootstrap.
        own: standard deviation of the variation of the start and of each epoch from object to object.
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
    """Print a line per number of images."""
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

"""AutoAnchor: the fit of the anchors to the objects of a data set, and better ones if it is poor.

An anchor answers for an object when neither side of one is `threshold` times the other's. Best possible recall (BPR)
is the share of objects that any anchor answers for: what no anchor answers for is never learned. Below 0.98 new anchors
are searched for:

1. k-means on the objects' whitened widths and heights (MacQueen, 1967; for anchors Redmon & Farhadi, "YOLO9000", 2017);
2. 1,000 generations of mutation: each side times a random factor, with probability 0.9 (sigma 0.1); a child that covers
   the objects better replaces its parent;
3. they are kept only if their recall, or at equal recall their fit, is better than that of those before.

A head that was trained with other anchors names its boxes as multiples of them, so new ones scale every box that it
draws. They replace those of weights only if recall is too low, since no training makes up for that; each then takes the
slot of the most similar anchor of its level.

Sizes are gathered into bins before the search, so that millions of objects cost as little as thousands; reported values
are measured on all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.rng import generator
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, once_a_split, training_samples

Sizes = NDArray[np.float64]
"""Widths and heights, pixels: (n, 2)."""

ENOUGH_RECALL = 0.98
SMALLEST = 2.0
"""Objects with a shorter side, pixels at the training size, are excluded from the search."""
LABEL_DIGITS = 6
"""Decimal digits of a side in a label file, as a share of the image's."""
BIN = 0.01
"""Width of a bin of sizes, in natural logarithm; doubled until there are few enough bins."""
MAX_BINS = 8_000
GENERATIONS = 1_000
MUTATION_PROBABILITY, MUTATION_SIGMA = 0.9, 0.1
KMEANS_ROUNDS = 30
OBJECTS_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class AnchorFit:
    """Fit of anchors to objects.

    Attributes:
        bpr: best possible recall: share of the objects with an anchor within the threshold, 0 to 1.
        aat: anchors above threshold: how many anchors answer for an object, on average.
        fitness: mean over the objects of the best anchor's ratio of sides, counting 0 beyond the threshold, 0 to 1.
    """

    bpr: float
    aat: float
    fitness: float


@dataclass(frozen=True, slots=True)
class AutoAnchor:
    """Outcome: the anchors before and after.

    Attributes:
        before: fit of the anchors before.
        anchors: the anchors to use, (levels, anchors per level, 2), pixels.
        after: their fit.
        changed: whether they are new.
    """

    before: AnchorFit
    anchors: NDArray[np.float64]
    after: AnchorFit
    changed: bool


def object_sizes(samples: Sequence[Sample], imgsz: int) -> Sizes:
    """Widths and heights of all objects, pixels at a training size: images are scaled to fit its square.

    Args:
        samples: a split.
        imgsz: side of the square, pixels.
    """
    counts = [len(sample.boxes) for sample in samples]
    boxes = np.concatenate([np.zeros((0, 4)), *(sample.boxes for sample in samples)])
    images = (
        np.array([(sample.width, sample.height) for sample in samples], np.float64).reshape(-1, 2).repeat(counts, 0)
    )
    # As a label file holds them, so that the same objects give the same figures in every layout.
    shares = ((boxes[:, 2:] - boxes[:, :2]) / images).round(LABEL_DIGITS)
    return np.asarray(shares * images * (imgsz / images.max(1, initial=1)[:, None]))


def side_ratio(sizes: Sizes, anchors: Sizes) -> NDArray[np.float64]:
    """Similarity of objects and anchors: `min(w/aw, aw/w, h/ah, ah/h)`, 0 to 1; (n, k) from (n, 2) and (k, 2)."""
    ratio = sizes[:, None] / anchors[None]
    np.minimum(ratio, 1 / ratio, out=ratio)
    return np.asarray(np.minimum(ratio[..., 0], ratio[..., 1]))


def measure(anchors: NDArray[np.float64], sizes: Sizes, threshold: float = 4.0) -> AnchorFit:
    """Measure the fit of anchors to objects.

    Args:
        anchors: (..., 2), pixels.
        sizes: (n, 2), pixels.
        threshold: largest ratio of an object's and a matching anchor's sides, above 1.
    """
    flat = anchors.reshape(-1, 2)
    found = above = fit = 0.0
    for start in range(0, len(sizes), OBJECTS_AT_ONCE):
        alike = side_ratio(sizes[start : start + OBJECTS_AT_ONCE], flat)
        best = alike.max(1)
        found += float((best > 1 / threshold).sum())
        above += float((alike > 1 / threshold).sum())
        fit += float(best[best > 1 / threshold].sum())
    count = max(len(sizes), 1)
    return AnchorFit(found / count, above / count, fit / count)


def autoanchor(
    anchors: NDArray[np.float64],
    sizes: Sizes,
    threshold: float = 4.0,
    *,
    seed: int = 0,
    always: bool = False,
    trained: bool = False,
) -> AutoAnchor:
    """Keep anchors that fit well enough, else fit new ones and take the better of the two.

    Args:
        anchors: those of the model, (levels, anchors per level, 2), pixels.
        sizes: of the objects at the training size, (n, 2), pixels.
        threshold: largest ratio of an object's and a matching anchor's sides.
        seed: of the search.
        always: search for better ones even if recall is above 0.98.
        trained: the head was trained with these anchors: without `always`, only a higher recall justifies new ones, and
            new ones take the slots of similar old ones.
    """
    before = measure(anchors, sizes, threshold)
    if before.bpr > ENOUGH_RECALL and not always:
        return AutoAnchor(before, anchors, before, False)
    fitted = fit_anchors(sizes, anchors.shape[0] * anchors.shape[1], threshold, seed=seed)
    if fitted is None:
        return AutoAnchor(before, anchors, before, False)
    new = fitted.reshape(anchors.shape)
    after = measure(new, sizes, threshold)
    if (after.bpr, after.fitness) <= (before.bpr, before.fitness):
        return AutoAnchor(before, anchors, before, False)
    if trained and not always and after.bpr <= before.bpr:
        return AutoAnchor(before, anchors, before, False)
    return AutoAnchor(before, keep_places(new, anchors) if trained else new, after, True)


def keep_places(new: NDArray[np.float64], old: NDArray[np.float64]) -> NDArray[np.float64]:
    """Order new anchors within their levels so that each takes the slot of a similar old one, the most similar first.

    Args:
        new: (levels, anchors per level, 2), pixels.
        old: those that the head was trained with, of the same shape.
    """
    placed = np.empty_like(new)
    for level, (these, those) in enumerate(zip(new, old, strict=True)):
        apart = np.abs(np.log(these)[:, None] - np.log(those)[None]).sum(2)  # (new, old)
        for _ in these:
            source, place = np.unravel_index(apart.argmin(), apart.shape)
            placed[level, place] = these[source]
            apart[source], apart[:, place] = np.inf, np.inf
    return placed


def fit_anchors(sizes: Sizes, count: int, threshold: float = 4.0, *, seed: int = 0) -> Sizes | None:
    """Anchors for objects, ordered by area, so that the smallest go to the finest level.

    Args:
        sizes: of the objects, (n, 2), pixels.
        count: how many anchors.
        threshold: largest ratio of an object's and a matching anchor's sides.
        seed: of the search.

    Returns:
        (count, 2), pixels; None when there are no objects of more than 2 pixels.
    """
    binned, weights = binned_sizes(sizes[(sizes >= SMALLEST).all(1)])
    if not len(binned):
        return None
    rng = generator(seed, "autoanchor")
    anchors = mutate(kmeans(binned, weights, count, rng), binned, weights, threshold, rng)
    return np.asarray(anchors[anchors.prod(1).argsort(kind="stable")])


def binned_sizes(sizes: Sizes) -> tuple[Sizes, NDArray[np.float64]]:
    """Sizes gathered into bins: the mean size of each bin (m, 2), pixels, and how many objects it stands for."""
    logs, width = np.log(sizes), BIN
    while True:
        column, row = np.round(logs / width).astype(np.int64).T
        _, inverse, counts = np.unique(column * 2**20 + row, return_inverse=True, return_counts=True)
        if len(counts) <= MAX_BINS:
            break
        width *= 2
    means = np.stack([np.bincount(inverse, side, len(counts)) for side in logs.T], 1) / counts[:, None]
    return np.exp(means), counts.astype(np.float64)


def kmeans(sizes: Sizes, weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> Sizes:
    """Centres of clusters of weighted sizes: (count, 2), pixels.

    Sizes are divided by their standard deviation first, so that widths and heights count alike; the first centres are
    drawn far from each other (k-means++; Arthur & Vassilvitskii, 2007).

    Args:
        sizes: (m, 2), pixels.
        weights: (m,), how many objects each stands for.
        count: how many clusters; with fewer distinct sizes, some centres lie between them.
        rng: draws the first centres.
    """
    mean = np.average(sizes, axis=0, weights=weights)
    spread = np.sqrt(np.average((sizes - mean) ** 2, axis=0, weights=weights))
    points = sizes / np.maximum(spread, 1e-9)
    centres = points[rng.choice(len(points), p=weights / weights.sum())][None]
    distance = ((points - centres) ** 2).sum(1)
    for _ in range(count - 1):
        chance = weights * distance
        drawn = rng.choice(len(points), p=chance / chance.sum()) if chance.sum() > 0 else rng.integers(len(points))
        centres = np.concatenate((centres, points[drawn][None]))
        distance = np.minimum(distance, ((points - points[drawn]) ** 2).sum(1))
    for _ in range(KMEANS_ROUNDS):
        nearest = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
        total = np.bincount(nearest, weights, count)
        sums = np.stack([np.bincount(nearest, weights * points[:, axis], count) for axis in (0, 1)], 1)
        moved = np.where(total[:, None] > 0, sums / np.maximum(total, 1e-9)[:, None], centres)
        if np.allclose(moved, centres, rtol=1e-6):
            break
        centres = moved
    return np.asarray(centres * np.maximum(spread, 1e-9))


def mutate(
    anchors: Sizes,
    sizes: Sizes,
    weights: NDArray[np.float64],
    threshold: float,
    rng: np.random.Generator,
    generations: int = GENERATIONS,
) -> Sizes:
    """Anchors after generations of mutation, each replaced only by a better one.

    Args:
        anchors: (k, 2), pixels.
        sizes: (m, 2), pixels.
        weights: (m,), how many objects each stands for.
        threshold: largest ratio of an object's and a matching anchor's sides.
        rng: draws the mutations.
        generations: how many.
    """
    shares = weights / weights.sum()
    logs = np.log(sizes)
    bound = -np.log(threshold)

    def fitness(candidate: Sizes) -> float:
        # In logarithms the ratio of sides is a distance: cheaper than dividing, and equal.
        apart = -np.abs(logs[:, None] - np.log(candidate)).max(2)
        best = apart.max(1)
        return float(shares @ np.where(best > bound, np.exp(best), 0.0))

    best = fitness(anchors)
    for _ in range(generations):
        mutated = rng.random(anchors.shape) < MUTATION_PROBABILITY
        factors = np.where(mutated, 1 + MUTATION_SIGMA * rng.random() * rng.standard_normal(anchors.shape), 1.0)
        child = np.maximum(anchors * np.clip(factors, 0.3, 3.0), SMALLEST)
        fit = fitness(child)
        if fit > best:
            anchors, best = child, fit
    return anchors


def _without_effect(run: Run) -> dict[str, NoEffect]:
    """No effect if anchors of the family's default count fit unchanged, and do not come from weights."""
    model, samples = run.config.model, training_samples(run)
    usual = model.autoanchor == "auto" and model.anchors == 3 and model.weights is None
    replayed = run.config.data.replay > 0  # then the anchors are fitted to the older images, too
    if not usual or replayed or samples is None:
        return {}
    recall = _recall(samples, run.config.imgsz, run.config.loss.anchor_t)
    if recall is not None and recall <= ENOUGH_RECALL:
        return {}
    why = "there is no object" if recall is None else f"the anchors fit {recall:.1%} of the objects unchanged"
    return {"autoanchor": NoEffect(why, acts_as="off")}


@once_a_split
def _recall(samples: Sequence[Sample], imgsz: int, threshold: float) -> float | None:
    """Best possible recall of the usual anchors; None without objects."""
    from lehr.models.anchor_head import default_anchors  # torch, which pages that measure anchors avoid

    sizes = object_sizes(samples, imgsz)
    return measure(default_anchors().double().numpy(), sizes, threshold).bpr if len(sizes) else None


def _state(run: Run) -> State:
    model, threshold = run.config.model, run.config.loss.anchor_t
    whose = "" if model.weights is None else " those of the weights too,"
    where = "whenever that is better" if model.autoanchor == "always" else f"if recall is at most {ENOUGH_RECALL:g}"
    return State(model.autoanchor != "off", f"fits anchors,{whose} {where}; threshold {threshold:g}")


TECHNIQUE = Technique(
    name="AutoAnchor",
    page="autoanchor",
    section=Section.MODEL,
    order=30,
    options=("autoanchor", "anchors"),
    without_effect=_without_effect,
    why="an object that matches no anchor is never learned",
    state=_state,
    switches=(Switch("autoanchor", {"autoanchor": "auto"}, {"autoanchor": "off"}, aliases=("anchors",)),),
    suits=lambda family: family.anchors,
    family="a family with anchors, such as yolov5n",
)

"""Repeat factors and the background share: against slow ways to compute them, alone and with image weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from lehr.errors import InputError
from lehr.options import DataOptions
from lehr.sample import Sample
from lehr.techniques.background_share import with_background_share
from lehr.techniques.image_weights import image_weights
from lehr.techniques.repeat_factors import class_factors, image_frequencies, repeat_factors
from lehr.techniques.sampling import describe_sampling, draw_images, epoch_shares


def sample(*classes: int) -> Sample:
    boxes = np.tile(np.array([[8, 8, 40, 40]], np.float32), (len(classes), 1))
    return Sample(Path("a.png"), 64, 64, boxes, np.array(classes, np.int64))


def random_split(rng: np.random.Generator) -> tuple[list[Sample], int]:
    """A split of 1 to 40 images, some of them without objects, of classes some of which may be in none."""
    classes = int(rng.integers(1, 9))
    popular = rng.dirichlet(np.full(classes, 0.5))
    counts = rng.integers(0, 6, int(rng.integers(1, 41)))
    return [sample(*rng.choice(classes, count, p=popular)) for count in counts], classes


def slow_repeat_factors(samples: list[Sample], threshold: float) -> list[float]:
    """The formula, an image and a class at a time."""

    def frequency(class_id: int) -> float:
        return sum(class_id in each.classes.tolist() for each in samples) / len(samples)

    return [
        max([1.0, *(max(1.0, math.sqrt(threshold / frequency(class_id))) for class_id in each.classes.tolist())])
        for each in samples
    ]


def test_repeat_factors_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(1000):
        samples, classes = random_split(rng)
        threshold = float(rng.choice([1e-3, rng.random(), 1]))
        found, expected = repeat_factors(samples, classes, threshold), slow_repeat_factors(samples, threshold)
        np.testing.assert_allclose(found, expected, 1e-12)
        above += max(expected) > 1.5
    assert above > 200


def test_a_class_in_no_image_counts_nothing() -> None:
    np.testing.assert_allclose(image_frequencies([sample(0, 0), sample(2), sample()], 4), [1 / 3, 0, 1 / 3, 0])
    np.testing.assert_allclose(class_factors(np.array([0.01, 0, 0.04, 0.5]), 0.04), [2, 1, 1, 1])


def slow_shares(samples: list[Sample], options: DataOptions, class_maps: list[float]) -> list[float]:
    """Weights multiplied an image at a time, and the sums of the two kinds then set."""
    weights = [1.0] * len(samples)
    if options.image_weights:
        weights = [a * float(b) for a, b in zip(weights, image_weights(samples, class_maps), strict=True)]
    if options.repeat_threshold:
        weights = [a * b for a, b in zip(weights, slow_repeat_factors(samples, options.repeat_threshold), strict=True)]
    total = {True: 0.0, False: 0.0}
    for each, weight in zip(samples, weights, strict=True):
        total[len(each.classes) == 0] += weight
    wanted = {True: total[True] / sum(weights), False: total[False] / sum(weights)}
    if options.background_share is not None:
        wanted = {True: options.background_share, False: 1 - options.background_share}
    return [
        weight / total[len(each.classes) == 0] * wanted[len(each.classes) == 0]
        for each, weight in zip(samples, weights, strict=True)
    ]


def test_shares_of_an_epoch_compose_the_weights() -> None:
    rng = np.random.default_rng(1)
    compared = 0
    while compared < 1000:
        samples, classes = random_split(rng)
        if len({len(each.classes) == 0 for each in samples}) < 2:
            continue
        class_maps = rng.random(classes).round(3).tolist()
        options = DataOptions(
            image_weights=bool(rng.integers(2)),
            repeat_threshold=float(rng.choice([0, rng.random()])),
            background_share=None if rng.integers(2) else float(rng.choice([0, 0.1, 0.9 * rng.random()])),
        )
        found, expected = epoch_shares(samples, options, class_maps), slow_shares(samples, options, class_maps)
        if found is None:
            np.testing.assert_allclose(expected, 1 / len(samples), 1e-12)
        else:
            np.testing.assert_allclose(found, expected, 1e-9, 1e-15)
            drawn = draw_images(found, compared, 3)
            counts, wanted = np.bincount(drawn, minlength=len(samples)), np.array(expected) * len(samples)
            assert len(drawn) == len(samples) and (abs(counts - wanted) < 1 + 1e-9).all()
        compared += 1


def test_without_an_option_each_image_is_shown_once() -> None:
    samples = [sample(0), sample(), sample(0, 1)]
    assert epoch_shares(samples, DataOptions(), (0, 0)) is None
    assert epoch_shares(samples, DataOptions(repeat_threshold=0.3), (0, 0)) is None  # no class is below it
    assert epoch_shares(samples[::2], DataOptions(background_share=0), (0, 0)) is None


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 0.9])
def test_images_without_objects_have_the_share_that_is_asked_for(share: float) -> None:
    samples = [sample(0)] * 160 + [sample()] * 40
    shares = epoch_shares(samples, DataOptions(background_share=share), (0,))
    assert shares is not None and shares[160:].sum() == pytest.approx(share)
    drawn = np.array([draw_images(shares, seed, epoch) for seed in (0, 1) for epoch in range(60)])
    assert drawn.shape == (120, 200)
    assert np.mean(drawn >= 160) == pytest.approx(share, abs=0.01 if share else 0)


def test_repeat_factors_show_rare_classes_by_the_root_of_their_rarity() -> None:
    samples = [sample(0)] * 190 + [sample(0, 1)] * 8 + [sample(1, 2)] * 2
    shares = epoch_shares(samples, DataOptions(repeat_threshold=0.2), (0, 0, 0))
    assert shares is not None
    np.testing.assert_allclose(shares[[190, 198]] / shares[0], [math.sqrt(0.2 / 0.05), math.sqrt(0.2 / 0.01)])


def described(samples: list[Sample], names: tuple[str, ...], **options: float) -> list[str]:
    said: list[str] = []
    describe_sampling(samples, DataOptions(**options), names, said.append)  # type: ignore[arg-type]
    return said


def test_what_the_options_do_to_the_data_is_said_at_the_start() -> None:
    samples = [sample(0)] * 160 + [sample(1)] * 2 + [sample()] * 38
    assert described(samples, ("a", "b")) == []
    (line,) = described(samples, ("a", "b"), repeat_threshold=0.09)
    assert line == (
        "Repeat factors of rare classes: b 3. Their mean over the images is 1.02; an epoch keeps its 200 images."
    )
    (line,) = described(samples, ("a", "b"), background_share=0.095)
    assert line == "Images without objects: 38 of 200, shown as 9.5% of an epoch, each 0.5 times on average."
    lines = described(samples, ("a", "b"), repeat_threshold=0.09, image_weights=True)
    assert len(lines) == 2 and "their weights are multiplied" in lines[1]
    many = [sample(i) for i in range(9)] + [sample(9)] * 91
    assert "and 4 more" in described(many, tuple("abcdefghij"), repeat_threshold=0.5)[0]


def test_what_can_do_nothing_is_said() -> None:
    samples = [sample(0)] * 3 + [sample(0, 1)]
    (line,) = described(samples, ("a", "b"), repeat_threshold=0.2)
    assert "has no effect: the rarest class, b, in 0.25 of the images" in line
    (line,) = described(samples, ("a", "b"), background_share=0)
    assert line == "--background-share 0 has no effect: each of the 4 training images has an object."


def test_a_share_of_images_that_there_are_none_of_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"--background-share 0\.1: each of the 4 training images has an object\. Add images"
    ):
        described([sample(0)] * 4, ("a",), background_share=0.1)
    with pytest.raises(InputError, match="none of the 4 training images has an object"):
        with_background_share(np.ones(4), np.ones(4, bool), 0.1)

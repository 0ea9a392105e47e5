"""Effects of techniques: pairs by hand, intervals against Student's t, and how often they are wrong."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

import numpy as np
import pytest
from tests.search.ablations import (
    all_sets,
    half_width,
    leave_one_out,
    leave_one_out_sets,
    names,
    study,
    with_seed_effects,
)

from lehr.search.effects import NO_DIFFERENCE, NOT_MEASURED, ONE_SEED, Effect, Run, effects, noise

stats = pytest.importorskip("scipy.stats")


def pooled_t_half_width(table: np.ndarray) -> float:
    """Of a difference of two sets, by the two-way analysis of variance."""
    sets, seeds = table.shape
    residuals = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    degrees = (sets - 1) * (seeds - 1)
    return float(stats.t.ppf(0.975, degrees) * math.sqrt(2 * (residuals**2).sum() / degrees / seeds))


def test_leaving_one_out_compares_everything_with_everything_else_seed_by_seed() -> None:
    full, without_ema = frozenset({"ema", "mosaic"}), frozenset({"mosaic"})
    runs = [
        Run(full, 7, {"map": 0.52}),
        Run(full, 3, {"map": 0.50}),
        Run(without_ema, 3, {"map": 0.46}),
        Run(without_ema, 7, {"map": 0.47}),
    ]
    (effect,) = effects(runs, ["ema"], "map")
    assert effect.technique == "ema" and effect.metric == "map" and effect.seeds == (3, 7)
    assert effect.pairs == pytest.approx((0.04, 0.05)) and effect.difference == pytest.approx(0.045)
    assert effect.with_ == pytest.approx(0.51) and effect.without == pytest.approx(0.465)


def test_adding_one_in_compares_each_technique_with_nothing() -> None:
    nothing = frozenset[str]()
    runs = study([nothing, frozenset({"ema"}), frozenset({"mosaic"})], np.array([[1, 2, 3], [1, 3, 2], [5, 5, 9.0]]))
    ema, mosaic = effects(runs, ["ema", "mosaic"], "fitness")
    assert ema.pairs == (0, 1, -1) and ema.difference == 0
    assert mosaic.pairs == (4, 3, 6) and mosaic.without == 2 and mosaic.with_ == pytest.approx(19 / 3)


def test_a_factorial_main_effect_is_the_mean_over_all_sets_of_the_others_interaction_included() -> None:
    techniques = ["a", "b", "c"]

    def value(on: frozenset[str], seed: int) -> float:
        return 2.0 * ("a" in on) - 1.0 * ("b" in on) + 4.0 * ({"a", "b"} <= on) + seed

    runs = [Run(on, seed, {"fitness": value(on, seed)}) for on in all_sets(techniques) for seed in (0, 1)]
    a, b, c = effects(runs, techniques, "fitness")
    # a is worth 2 without b and 6 with it; b is worth -1 without a and 3 with it.
    assert (a.difference, b.difference, c.difference) == (4, 1, 0)
    assert a.pairs == (4, 4) and a.without == 0 and a.with_ == 4  # -1/2 for b, +1/2 for the seed


def test_an_exact_no_op_has_an_interval_of_nothing_around_nothing() -> None:
    table = np.random.default_rng(0).normal(0.5, 0.02, (4, 3))
    table[2] = table[0]
    runs, techniques = leave_one_out(table)
    found = effects(runs, techniques, "fitness")
    assert (found[1].difference, found[1].low, found[1].high, found[1].verdict) == (0, 0, 0, NO_DIFFERENCE)
    assert half_width(found[0]) > 0.01


def test_no_ops_lend_the_others_no_certainty() -> None:
    table = np.random.default_rng(0).normal(0.5, 0.02, (3, 3))
    runs, techniques = leave_one_out(table)
    alone = effects(runs, techniques, "fitness")
    among_no_ops, techniques = leave_one_out(np.concatenate([table, table[:1].repeat(6, 0)]))
    for before, after in zip(alone, effects(among_no_ops, techniques, "fitness"), strict=False):
        assert half_width(after) == pytest.approx(half_width(before), rel=0.05)
    expected, found = noise(runs, "fitness"), noise(among_no_ops, "fitness")
    assert (found.degrees, found.paired_degrees) == (expected.degrees, expected.paired_degrees) == (6, 4)
    assert (found.deviation, found.paired) == pytest.approx((expected.deviation, expected.paired))


def test_a_no_op_in_a_factorial_study_leaves_as_many_runs_as_there_are_different_ones() -> None:
    techniques, rng = ["a", "b", "idle"], np.random.default_rng(0)
    small = dict(zip(all_sets(["a", "b"]), rng.normal(0.5, 0.02, (4, 3)), strict=True))
    whole = study(all_sets(techniques), np.array([small[on - {"idle"}] for on in all_sets(techniques)]))
    a, b, idle = effects(whole, techniques, "fitness")
    expected = effects(study(list(small), np.array(list(small.values()))), ["a", "b"], "fitness")
    assert half_width(a) == pytest.approx(half_width(expected[0]), rel=0.05)
    assert half_width(b) == pytest.approx(half_width(expected[1]), rel=0.05)
    assert idle.low == idle.high == 0


@pytest.mark.parametrize("ruined", [lambda rng: rng.normal(0.3, 0.02, 3), lambda rng: np.zeros(3)])
def test_sabotage_is_seen_with_three_seeds_and_no_other_technique_to_learn_the_noise_from(
    ruined: Callable[[np.random.Generator], np.ndarray],
) -> None:
    for number in range(20):
        rng = np.random.default_rng(number)
        good = rng.normal(0.8, 0.02, 3)
        # Leaving the sabotage out gives 0.8; all on, and leaving out what does nothing, the ruin.
        bad = ruined(rng)
        runs, techniques = leave_one_out(np.array([bad, good, bad]))
        sabotage, idle = effects(runs, techniques, "fitness")
        assert sabotage.verdict == "hurts" and sabotage.high is not None and sabotage.high < 0
        assert idle.verdict == NO_DIFFERENCE and idle.low == idle.high == 0


@pytest.mark.parametrize("deviation", [10.0, 0.0])
def test_a_ruined_set_neither_widens_nor_narrows_the_intervals_of_the_others(deviation: float) -> None:
    ratios = []
    for number in range(20):
        rng = np.random.default_rng(number)
        table = rng.standard_normal((7, 3))
        without, techniques = leave_one_out(table)
        ruined, more = leave_one_out(np.concatenate([table, deviation * rng.standard_normal((1, 3)) - 50]))
        before = effects(without, techniques, "fitness", draws=4000)
        after = effects(ruined, more, "fitness", draws=4000)
        ratios += [half_width(b) / half_width(a) for a, b in zip(before, after, strict=False)]
    # Some of the ruined look like others by chance.
    assert np.median(ratios) == pytest.approx(1, abs=0.03) and np.quantile(ratios, 0.8) < 1.1


def assert_students(effect: Effect) -> None:
    """The interval is that of a t test of the pairs; the draws leave some percent to chance."""
    pairs = np.array(effect.pairs)
    width = stats.t.ppf(0.975, len(pairs) - 1) * stats.sem(pairs)
    assert effect.low is not None and effect.high is not None
    assert (effect.low + effect.high) / 2 == pytest.approx(pairs.mean())
    assert half_width(effect) == pytest.approx(width, rel=0.1)


@pytest.mark.parametrize("seeds", [2, 3, 4, 10])
def test_the_interval_of_a_single_technique_is_students(seeds: int) -> None:
    for number in range(5):
        runs, techniques = leave_one_out(np.random.default_rng(number).standard_normal((2, seeds)))
        assert_students(effects(runs, techniques, "fitness")[0])


def test_a_technique_with_much_more_noise_than_the_others_answers_for_itself() -> None:
    for number in range(5):
        table = np.random.default_rng(number).standard_normal((7, 3))
        table[1] *= 1000
        runs, techniques = leave_one_out(table)
        noisy, *others = effects(runs, techniques, "fitness")
        assert_students(noisy)
        assert all(half_width(effect) < 10 for effect in others)


@pytest.mark.parametrize("seeds", [3, 10])
def test_the_interval_is_about_as_wide_as_that_of_a_pooled_t_test(seeds: int) -> None:
    ratios = []
    for number in range(25):
        table = np.random.default_rng(number).standard_normal((7, seeds))
        runs, techniques = leave_one_out(table)
        found = effects(runs, techniques, "fitness", draws=2000)
        ratios.append(np.mean([half_width(effect) for effect in found]) / pooled_t_half_width(table))
    assert 1.0 < np.mean(ratios) < 1.2  # what it costs that a technique answers for its own noise too


def test_a_difference_of_four_standard_deviations_is_found_with_three_seeds_and_six_techniques() -> None:
    shift = np.array([0, -4, 0, 0, 0, 0, 0.0])[:, None]
    rng, found = np.random.default_rng(0), []
    for _ in range(150):
        runs, techniques = leave_one_out(rng.standard_normal((7, 3)) + shift)
        found.append(effects(runs, techniques, "fitness", draws=1000)[0].verdict == "helps")
    assert np.mean(found) > 0.93


def test_the_order_of_runs_and_techniques_does_not_matter() -> None:
    runs, techniques = leave_one_out(np.random.default_rng(0).standard_normal((5, 3)))
    expected = effects(runs, techniques, "fitness")
    random.Random(0).shuffle(runs)
    assert effects(runs, techniques, "fitness") == expected
    backwards = effects(runs, techniques[::-1], "fitness")[::-1]
    assert [effect.technique for effect in backwards] == techniques
    assert [half_width(effect) for effect in backwards] == pytest.approx([half_width(effect) for effect in expected])


def test_the_same_seed_gives_the_same_interval_and_another_about_the_same() -> None:
    runs, techniques = leave_one_out(np.random.default_rng(0).standard_normal((5, 3)))
    first = effects(runs, techniques, "fitness", seed=1)
    assert effects(runs, techniques, "fitness", seed=1) == first
    for one, other in zip(first, effects(runs, techniques, "fitness", seed=2), strict=True):
        assert half_width(one) != half_width(other)
        assert half_width(one) == pytest.approx(half_width(other), rel=0.08)


def test_a_run_that_is_there_twice_is_refused() -> None:
    runs = [Run(frozenset({"b", "a"}), 1, {"map": 0.5}), Run(frozenset({"a", "b"}), 1, {"map": 0.6})]
    with pytest.raises(ValueError, match="two runs with a, b on and seed 1"):
        effects(runs, ["a"], "map")
    with pytest.raises(ValueError, match="seed 1"):
        noise(runs, "map")


def test_only_complete_pairs_are_used() -> None:
    runs, techniques = leave_one_out(np.random.default_rng(0).standard_normal((4, 5)))
    full, first = frozenset(techniques), frozenset(techniques[1:])
    lost = {(full, 1), (first, 3)}
    left = [run for run in runs if (run.on, run.seed) not in lost]
    left.append(Run(full, 1, {"fitness": math.nan, "map": 0.1}))
    found, whole = effects(left, techniques, "fitness"), effects(runs, techniques, "fitness")
    assert found[0].seeds == (0, 2, 4) and found[1].seeds == found[2].seeds == (0, 2, 3, 4)
    assert found[0].pairs == tuple(whole[0].pairs[seed] for seed in (0, 2, 4))
    assert found[0].difference == pytest.approx(np.mean(found[0].pairs))
    assert found[0].with_ == pytest.approx(
        np.mean([run.values["fitness"] for run in runs if run.on == full and run.seed in (0, 2, 4)])
    )
    assert all(math.isfinite(half_width(effect)) for effect in found)


def test_intervals_of_incomplete_studies_are_as_seldom_wrong() -> None:
    rng, words = np.random.default_rng(0), []
    for _ in range(120):
        runs, techniques = leave_one_out(rng.standard_normal((6, 4)))
        left = [run for run in runs if run.seed < 3 or len(run.on) == 5 or techniques[4] not in run.on]
        words += [effect.verdict for effect in effects(left, techniques, "fitness", draws=1000)]
    assert 0.02 < 1 - words.count(NO_DIFFERENCE) / len(words) < 0.09


def test_all_seeds_of_a_factorial_study_are_compared_on_the_same_sets() -> None:
    techniques = ["a", "b"]

    def value(on: frozenset[str], seed: int) -> float:
        return 10.0 * ({"a", "b"} <= on) + seed

    runs = [Run(on, seed, {"fitness": value(on, seed)}) for on in all_sets(techniques) for seed in (0, 1, 2)]
    budget_ran_out = [run for run in runs if run.seed < 2 or len(run.on) < 2]
    (a,) = effects(budget_ran_out, ["a"], "fitness")
    # In the third seed only the pair without b is there, in which a is worth 0.
    assert a.seeds == (0, 1) and a.pairs == (5, 5)
    never_together = [run for run in runs if len(run.on) < 2]
    (a,) = effects(never_together, ["a"], "fitness")
    assert a.seeds == (0, 1, 2) and a.pairs == (0, 0, 0)


def test_a_technique_without_a_pair_was_not_measured() -> None:
    runs, techniques = leave_one_out(np.random.default_rng(0).standard_normal((3, 3)))
    left = [run for run in runs if techniques[0] in run.on]
    missing, other = effects(left, techniques, "fitness")
    assert missing == Effect(techniques[0], "fitness", None, None, None, None, None, (), (), NOT_MEASURED)
    assert other.difference is not None and other.low is not None
    assert [effect.verdict for effect in effects(runs, techniques, "map75")] == [NOT_MEASURED] * 2
    assert [effect.verdict for effect in effects([], techniques, "map75")] == [NOT_MEASURED] * 2


def test_one_seed_gives_a_difference_and_no_interval() -> None:
    runs, techniques = leave_one_out(np.array([[0.8], [0.3]]))
    (effect,) = effects(runs, techniques, "fitness")
    assert effect.difference == pytest.approx(0.5) and effect.verdict == ONE_SEED
    assert effect.low is None and effect.high is None


@pytest.mark.parametrize(
    ("metric", "higher_is_better", "more", "less"),
    [
        ("fitness", True, "helps", "hurts"),
        ("loss", False, "hurts", "helps"),
        ("seconds", False, "costs", "saves"),
        ("memory", True, "costs", "saves"),
    ],
)
def test_words_say_on_which_side_of_nothing_the_interval_lies(
    metric: str, higher_is_better: bool, more: str, less: str
) -> None:
    table = np.random.default_rng(0).normal(0, 0.1, (4, 3)) + np.array([9, 8, 10, 9])[:, None]
    techniques = names(3)
    runs = study(leave_one_out_sets(techniques), table, metric)
    words = [effect.verdict for effect in effects(runs, techniques, metric, higher_is_better=higher_is_better)]
    assert words == [more, less, NO_DIFFERENCE]


def test_a_metric_without_any_noise_is_known_for_certain() -> None:
    techniques = ["amp", "cache", "idle"]
    table = np.array([[800.1], [1200.7], [500.3], [800.1]]).repeat(3, 1)
    amp, cache, idle = effects(study(leave_one_out_sets(techniques), table, "memory"), techniques, "memory")
    assert amp.verdict == "saves" and amp.low == amp.high == pytest.approx(-400.6)
    assert cache.verdict == "costs" and cache.low == cache.high == pytest.approx(299.8)
    assert idle.verdict == NO_DIFFERENCE and idle.low == idle.high == 0


def test_noise_is_that_of_an_additive_model_fitted_by_least_squares() -> None:
    rng = np.random.default_rng(0)
    runs, _ = leave_one_out(with_seed_effects(rng, (5, 4)))
    # The budget ran out in the third seed, after the baseline and one more.
    left = [run for run in runs if run.seed != 2 or run.on in (runs[0].on, runs[8].on)]
    sets = sorted({run.on for run in left}, key=sorted)
    design = np.array(
        [[run.on == on for on in sets] + [run.seed == seed for seed in range(4)] for run in left], np.float64
    )
    values = np.array([run.values["fitness"] for run in left])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    degrees = len(values) - np.linalg.matrix_rank(design)
    found = noise(left, "fitness")
    assert found.paired_degrees == degrees == 17 - 8
    assert found.paired == pytest.approx(math.sqrt(2 * ((values - fitted) ** 2).sum() / degrees))
    within = [np.array([run.values["fitness"] for run in left if run.on == on]) for on in sets]
    assert found.degrees == 17 - 5
    assert found.deviation == pytest.approx(math.sqrt(sum(((v - v.mean()) ** 2).sum() for v in within) / 12))


def test_noise_is_unknown_where_there_is_one_seed() -> None:
    runs, _ = leave_one_out(np.array([[0.8], [0.3]]))
    found = noise(runs, "fitness")
    assert found.deviation is None and found.paired is None and found.degrees == found.paired_degrees == 0
    assert noise([], "fitness") == found


def test_ten_techniques_with_five_seeds_take_less_than_a_third_of_a_second() -> None:
    runs, techniques = leave_one_out(np.random.default_rng(0).standard_normal((11, 5)))
    effects(runs, techniques, "fitness")
    started = time.perf_counter()
    effects(runs, techniques, "fitness")
    assert time.perf_counter() - started < 0.3

"""Augmentations that packages add take part in the plan: reproducible, apart from all other draws, on any device."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from tests.augment.test_plan import SIDE, draw_world, make_world

from lehr.augment import augmentation as augmentations
from lehr.augment.augmentation import Augmentation, CanvasContext, probabilities, register_augmentation
from lehr.augment.draw_on_device import draw_canvases
from lehr.augment.gpu_plan import pack
from lehr.augment.letterbox import reduced_size, resize
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.cli.explanation import explanation
from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.plugins import PluginTable

WORLD = make_world(3)


def grey(plan: Plan, context: CanvasContext, rng: np.random.Generator) -> Plan:
    """Take the colours away."""
    return dataclasses.replace(plan, hsv=(1.0, 0.0, 1.0))


def thinned(plan: Plan, context: CanvasContext, rng: np.random.Generator) -> Plan:
    """Leave out a tile that is drawn."""
    gone = int(rng.integers(len(plan.tiles)))
    return dataclasses.replace(plan, tiles=plan.tiles[:gone] + plan.tiles[gone + 1 :])


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentations, "AUGMENTATIONS", PluginTable("none", Augmentation))
    register_augmentation(Augmentation("grey", grey))
    register_augmentation(Augmentation("thinned", "tests.augment.test_augmentation:thinned"))


def plans(*asked: str, epoch: int = 0, seed: int = 0, **options: float) -> list[Plan]:
    """The plans of an epoch."""
    chosen = AugmentOptions(augmentation=asked, **options)
    return [
        plan_sample(WORLD[0], chosen, SIDE, seed=seed, epoch=epoch, index=index, multi_image=True) for index in range(6)
    ]


def drawn(plan: Plan) -> np.ndarray:
    return draw_world(*WORLD, plan)


def same(one: Plan, other: Plan) -> bool:
    """Compare two plans to the last bit."""
    return repr(one) == repr(other) and np.array_equal(one.boxes, other.boxes)


def test_what_is_not_asked_for_changes_no_draw() -> None:
    bare = plans(mixup=0.5, copy_paste=0.5)
    for asked in (("grey=0",), ("thinned=0", "grey=0")):
        assert all(same(a, b) for a, b in zip(bare, plans(*asked, mixup=0.5, copy_paste=0.5), strict=True))
    for plan, other in zip(bare, plans("grey", mixup=0.5, copy_paste=0.5), strict=True):
        assert same(plan, dataclasses.replace(other, hsv=plan.hsv))


def test_a_picture_depends_on_seed_epoch_and_index_alone() -> None:
    kept = [len(plan.tiles) for plan in plans("thinned=0.5")]
    assert kept == [len(plan.tiles) for plan in plans("thinned=0.5")]
    bare = [len(plan.tiles) for plan in plans()]
    changed = {
        tuple(
            one < other
            for one, other in zip(
                [len(plan.tiles) for plan in plans("thinned=0.5", epoch=epoch, seed=seed)],
                [len(plan.tiles) for plan in plans(epoch=epoch, seed=seed)],
                strict=True,
            )
        )
        for epoch in range(3)
        for seed in range(2)
    }
    assert len(changed) > 3 and any(one < other for one, other in zip(kept, bare, strict=True))


def test_each_draws_for_itself_and_they_are_applied_in_the_order_asked_for() -> None:
    alone, both = plans("thinned=0.5"), plans("grey=0.5", "thinned=0.5")
    assert [[tile.index for tile in plan.tiles] for plan in alone] == [
        [tile.index for tile in plan.tiles] for plan in both
    ]
    register_augmentation(
        Augmentation("bright", lambda plan, context, rng: dataclasses.replace(plan, hsv=(1.0, 1.0, 2.0)))
    )
    assert plans("grey", "bright")[0].hsv == (1.0, 1.0, 2.0) and plans("bright", "grey")[0].hsv == (1.0, 0.0, 1.0)


def test_the_probability_is_that_of_a_picture() -> None:
    options = AugmentOptions(augmentation=("grey=0.3",))
    hits = sum(
        plan_sample(WORLD[0], options, SIDE, seed=1, epoch=epoch, index=index, multi_image=False).hsv == (1.0, 0.0, 1.0)
        for epoch in range(100)
        for index in range(6)
    )
    assert abs(hits / 600 - 0.3) < 4 * (0.3 * 0.7 / 600) ** 0.5


def test_the_context_tells_of_the_picture() -> None:
    seen = []

    def look(plan: Plan, context: CanvasContext, rng: np.random.Generator) -> Plan:
        seen.append((context.index, context.imgsz, context.shape, context.multi_image, len(context.samples)))
        return plan

    register_augmentation(Augmentation("look", look))
    options = AugmentOptions(augmentation=("look",))
    plan_sample(WORLD[0], options, 96, seed=0, epoch=0, index=2, multi_image=False, shape=(96, 64))
    plan_sample(WORLD[0], options, 96, seed=0, epoch=0, index=4, multi_image=True)
    assert seen == [(2, 96, (96, 64), False, 6), (4, 96, (96, 96), True, 6)]


def test_a_changed_plan_is_drawn_alike_on_the_cpu_and_on_the_device() -> None:
    samples, images = WORLD
    kept = [resize(image, *reduced_size(image.shape[1], image.shape[0], SIDE)) for image in images]
    for plan in plans("grey", "thinned", mixup=0.5):
        cpu = drawn(plan)
        packed = pack([plan], lambda i: (kept[i], (samples[i].width, samples[i].height)), SIDE, SIDE)
        device = draw_canvases(packed)[0].permute(1, 2, 0).numpy()
        assert np.ptp(cpu, axis=-1).max() == 0 and np.ptp(device.astype(int), axis=-1).max() <= 1
        assert np.abs(cv2.blur(cpu, (3, 3)).astype(int) - cv2.blur(device, (3, 3))).mean() < 3


def test_both_canvases_of_cutmix_are_changed_each_by_its_own_draw() -> None:
    seen: list[tuple[int, float]] = []

    def look(plan: Plan, context: CanvasContext, rng: np.random.Generator) -> Plan:
        seen.append((context.index, rng.random()))
        return dataclasses.replace(plan, hsv=(1.0, 0.0, 1.0))

    register_augmentation(Augmentation("look", look))
    options = AugmentOptions(augmentation=("look",), cutmix=1)
    plan = plan_sample(WORLD[0], options, SIDE, seed=0, epoch=0, index=2, multi_image=True)
    assert plan.patch is not None and len(seen) == 2 and seen[0][0] == 2 and seen[0][1] != seen[1][1]
    assert plan.hsv == (1.0, 0.0, 1.0) and plan.patch[0].hsv is None
    assert np.ptp(drawn(plan), axis=-1).max() == 0


@pytest.mark.parametrize("given", [["grey=0.5", "thinned"], {"grey": 0.5, "thinned": 1}, ("grey=.5", "thinned=1.0")])
def test_they_are_asked_for_by_name_and_probability(given: object) -> None:
    config = build_config({"augmentation": given})
    assert probabilities(config.augment.augmentation) == (("grey", 0.5), ("thinned", 1.0))
    assert build_config(config.flat()) == config
    assert build_config({"augmentation": "grey"}).augment.augmentation == ("grey",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("gray", "unknown augmentation 'gray'. Did you mean grey"),
        ("grey=2", "probability between 0 and 1"),
        ("grey=", "probability between 0 and 1"),
        ("grey=often", "probability between 0 and 1"),
        ("=1", "NAME"),
        (["grey", "grey=0.1"], "'grey' is there twice"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(given: object, words: str) -> None:
    with pytest.raises(InputError, match="--augmentation") as caught:
        build_config({"augmentation": given})
    assert words in str(caught.value)


def test_they_are_explained_where_they_are_on() -> None:
    register_augmentation(Augmentation("warm", grey, "evening light is redder"))
    on, _, off = explanation(build_config({"augmentation": ["warm=0.25", "grey"]})).partition("\nOff:")
    assert "warm: probability 0.25\n      evening light is redder\n      off: without --augmentation warm" in on
    assert "grey: probability 1\n" in on and "thinned" not in on + off


def test_where_no_package_adds_any_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentations, "AUGMENTATIONS", PluginTable("none", Augmentation))
    with pytest.raises(InputError, match="No installed package adds any"):
        build_config({"augmentation": "grey"})

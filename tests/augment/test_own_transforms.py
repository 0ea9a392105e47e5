"""A user's own code on finished images: named, called and checked; on seed, epoch and index alone it depends."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.augment.canvases import world

from lehr.augment.augmentation import Augmentation, is_code, load_code
from lehr.augment.box_filter import BoxLimits
from lehr.augment.own_transforms import code_versions, own_transforms, transform_canvas
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.cli.explanation import explanation
from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.rng import generator

HERE = "tests.augment.test_own_transforms"
EXAMPLE = Path(__file__).parents[2] / "examples" / "lehr-example" / "src"
NO_CLASS_THERE = 4
GIVEN: list[Any] = []


def negative(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Any:
    """Turn the colours round, in place."""
    np.subtract(255, image, out=image)
    return image, boxes, classes


class Mirror:
    """Mirrors an image with its boxes, of which it returns lists."""

    def __call__(self, image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Any:
        """Mirror."""
        width = image.shape[1]
        return image[:, ::-1], [[width - x2, y1, width - x1, y2] for x1, y1, x2, y2 in boxes.tolist()], classes.tolist()


class Global:
    """Draws from every generator that there is."""

    def __call__(self, image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Any:
        """Draw."""
        GIVEN.append((rng.random(), random.random(), float(np.random.rand()), float(torch.rand(()))))  # noqa: NPY002
        return image, boxes, classes


class NeedsSomething:
    """Cannot be made without an argument."""

    def __init__(self, something: object) -> None:
        self.something = something


def fails(image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> Any:
    """Raise."""
    raise ValueError("no fog today")


GREY_PLAN = Augmentation("grey-plan", lambda plan, context, rng: Plan(plan.tiles, plan.boxes, plan.classes, (1, 0, 1)))
NO_FUNCTION = 7


def canvas(side: int = 64) -> tuple[Plan, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    boxes = np.array([[2, 3, 30, 40], [20, 20, 60, 50.5]], np.float32)
    return Plan((), boxes, np.array([1, 3])), image


def forget() -> None:
    """Have names be looked up again."""
    load_code.cache_clear()
    own_transforms.cache_clear()


def transformed(*names: str, index: int = 0, **more: Any) -> tuple[Plan, np.ndarray]:
    plan, image = canvas()
    limits = more.pop("limits", BoxLimits())
    done = transform_canvas(
        plan,
        image,
        names,
        draws=lambda name: generator(0, f"augmentation {name}", 0, index),
        limits=limits,
        classes=NO_CLASS_THERE,
    )
    return done, image


def test_a_function_and_a_class_get_the_image_and_its_objects() -> None:
    plan, image = canvas()
    done, changed = transformed(f"{HERE}:negative")
    assert np.array_equal(changed, 255 - image) and np.array_equal(done.boxes, plan.boxes)
    done, changed = transformed(f"{HERE}:Mirror")
    assert np.array_equal(changed, image[:, ::-1])
    assert done.boxes.tolist() == [[34, 3, 62, 40], [4, 20, 44, 50.5]] and done.classes.tolist() == [1, 3]
    assert done.boxes.dtype == np.float32 and done.classes.dtype == np.int64
    done, changed = transformed(f"{HERE}:Mirror", f"{HERE}:negative")
    assert np.array_equal(changed, 255 - image[:, ::-1])


def test_each_is_called_by_its_probability() -> None:
    _, image = canvas()
    changed = sum(not np.array_equal(transformed(f"{HERE}:negative=0.3", index=i)[1], image) for i in range(600))
    assert abs(changed / 600 - 0.3) < 4 * (0.3 * 0.7 / 600) ** 0.5
    assert np.array_equal(transformed(f"{HERE}:negative=0")[1], image)


def test_draws_of_all_generators_are_functions_of_the_image_and_disturb_nobody() -> None:
    GIVEN.clear()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    for index in (0, 1, 0):
        transformed(f"{HERE}:Global", index=index)
    first, other, again = GIVEN
    assert first == again and all(a != b for a, b in zip(first, other, strict=True))
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    assert before == after


def test_changed_boxes_pass_the_box_filter_and_unchanged_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.modules[HERE]
    moved = np.array([[-500.0, 0, 20, 20], [10, 10, 30, 30], [10, 10, 11, 30]])
    monkeypatch.setattr(here, "gives", lambda image, boxes, classes, rng: (image, moved, [0, 1, 2]), raising=False)
    forget()
    done, _ = transformed(f"{HERE}:gives")
    assert done.boxes.tolist() == [[10, 10, 30, 30]] and done.classes.tolist() == [1]
    done, _ = transformed(f"{HERE}:negative", limits=BoxLimits(50, 1, 1.01))
    assert len(done.boxes) == 2
    monkeypatch.setattr(here, "gives", lambda image, boxes, classes, rng: (image, [], []), raising=False)
    forget()
    done, _ = transformed(f"{HERE}:gives")
    assert done.boxes.shape == (0, 4) and done.classes.shape == (0,)


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (lambda i, b, c: None, "a NoneType; it must be a tuple of image, boxes and classes"),
        (lambda i, b, c: (i, b), "a tuple of 2; it must be a tuple of image, boxes and classes"),
        (lambda i, b, c: (i / 255, b, c), "float64 (64, 64, 3); it must be a NumPy array, uint8 (64, 64, 3)"),
        (lambda i, b, c: (i[:32], b, c), "uint8 (32, 64, 3)"),
        (lambda i, b, c: (torch.from_numpy(i), b, c), "of type torch.Tensor"),
        (lambda i, b, c: (i, b[:, :3], c), "boxes that are float32 (2, 3)"),
        (lambda i, b, c: (i, b * np.nan, c), "boxes that are float32 (2, 4), not finite"),
        (lambda i, b, c: (i, [[1, 2]], c), "boxes that are int64 (1, 2)"),
        (lambda i, b, c: (i, b, c[:1]), "classes that are int64 (1,); it must be whole numbers (2,)"),
        (lambda i, b, c: (i, b, c * 0.5), "classes that are float64 (2,)"),
        (lambda i, b, c: (i, np.array([[30, 40, 10, 10]]), [0]), "the box [30, 40, 10, 10]; it must be xyxy"),
        (lambda i, b, c: (i, b, c + 1), "the class 4; it must be 0 to 3"),
        (lambda i, b, c: (i, b, c - 2), "the class -1; it must be 0 to 3"),
        (lambda i, b, c: (i, {"x": 1}, c), "boxes that are object"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    back: Callable[..., Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[HERE], "wrong", lambda i, b, c, rng: back(i, b, c), raising=False)
    forget()
    with pytest.raises(InputError) as caught:
        transformed(f"{HERE}:wrong")
    assert f"--augmentation {HERE}:wrong: returns" in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_package.fog:fog", "cannot be imported (ModuleNotFoundError: No module named 'no_such_package')"),
        (f"{HERE}:no_such_thing", "cannot be imported (AttributeError"),
        (f"{HERE}:", "cannot be imported"),
        (f"{HERE}:NeedsSomething", "cannot be created (TypeError"),
        (f"{HERE}:NO_FUNCTION", "is a int, which cannot be called"),
    ],
)
def test_what_cannot_be_called_is_refused(name: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        own_transforms((name,))
    assert f"--augmentation {name}: " in str(caught.value) and words in str(caught.value)


def test_what_fails_says_where() -> None:
    with pytest.raises(InputError, match=r"fails \(ValueError: no fog today; .*test_own_transforms\.py:\d+\)"):
        transformed(f"{HERE}:fails")


def test_an_augmentation_of_plans_may_be_named_as_code_too() -> None:
    name = f"{HERE}:GREY_PLAN"
    assert own_transforms((name,)) == () and is_code(name)
    options = AugmentOptions(augmentation=(name, f"{HERE}:negative"))
    plan = plan_sample(world("noise").samples, options, 64, seed=0, epoch=0, index=0, multi_image=True)
    assert plan.hsv == (1, 0, 1)


def test_reading_options_imports_nothing() -> None:
    config = build_config({"data": "shapes", "augmentation": {"no_such_package.fog:fog": 0.5}})
    assert config.augment.augmentation == ("no_such_package.fog:fog=0.5",)
    assert build_config(config.flat()) == config
    said = explanation(config)
    assert "no_such_package.fog:fog: probability 0.5" in said and "code of your own" in said


def test_a_change_of_the_code_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own_fog_code.py"
    file.write_text("def fog(image, boxes, classes, rng):\n    return image, boxes, classes\n")
    monkeypatch.syspath_prepend(tmp_path)
    requests = ("own_fog_code:fog=0.5", "grey=0.5")
    own_transforms(requests[:1])
    (name, version), *others = code_versions(requests).items()
    assert name == "own_fog_code:fog" and not others
    assert code_versions(requests) == {name: version}
    file.write_text(file.read_text() + "\n# another\n")
    assert code_versions(requests)[name] != version


def test_a_transform_of_torchvision_takes_images_and_boxes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    plan, image = canvas()
    mirrored = 0
    for index in range(20):
        done, changed = transformed("lehr_example.weather:Weather", index=index)
        again, repeated = transformed("lehr_example.weather:Weather", index=index)
        assert np.array_equal(changed, repeated) and np.array_equal(done.boxes, again.boxes)
        assert not np.array_equal(changed, image) and changed.shape == image.shape
        flipped = not np.array_equal(done.boxes, plan.boxes)
        mirrored += flipped
        wanted = [[34, 3, 62, 40], [4, 20, 44, 50.5]] if flipped else plan.boxes.tolist()
        assert done.boxes.tolist() == wanted and done.classes.tolist() == [1, 3]
        near = np.abs(changed.astype(float).mean((0, 1)) - image.mean((0, 1))).max()
        assert near < 60
    assert 3 < mirrored < 17

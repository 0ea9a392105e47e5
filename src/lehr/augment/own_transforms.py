"""User code on finished samples, by name: `--augmentation package.module:object[=PROBABILITY]`.

The code receives an image after all of Lehr's own augmentation, and returns a changed one with its objects. It is
imported in every loading process.
"""

from __future__ import annotations

import hashlib
import inspect
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lehr.augment.augmentation import Augmentation, is_code, load_code, probabilities
from lehr.augment.box_filter import BoxLimits, visible
from lehr.augment.tiles import Plan
from lehr.errors import InputError

Transform = Callable[
    [NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64], np.random.Generator],
    tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]],
]
"""Function from image, boxes, classes and a generator to the changed image, boxes and classes."""


@lru_cache(maxsize=8)
def own_transforms(requests: tuple[str, ...]) -> tuple[tuple[str, float, Transform], ...]:
    """Load the transforms named in `--augmentation`: names, probabilities and callables.

    Args:
        requests: each NAME or NAME=PROBABILITY, valid.

    Raises:
        InputError: one cannot be imported, created or called.
    """
    found = []
    for name, probability in probabilities(requests):
        code = load_code(name) if is_code(name) else None
        if code is not None and not isinstance(code, Augmentation):
            found.append((name, probability, code))
    return tuple(found)


def code_versions(requests: tuple[str, ...]) -> dict[str, str]:
    """Fingerprint the code files named in `--augmentation`, to detect changes.

    Args:
        requests: each NAME or NAME=PROBABILITY, valid; loaded.

    Returns:
        By name, a hash of the file of its module; of its name alone without such a file.
    """
    versions = {}
    for name, _ in probabilities(requests):
        if is_code(name):
            module = sys.modules.get(name.partition(":")[0])
            file = None if module is None else inspect.getsourcefile(module)
            content = Path(file).read_bytes() if file is not None and Path(file).is_file() else name.encode()
            versions[name] = hashlib.sha256(content).hexdigest()[:16]
    return versions


def transform_canvas(
    plan: Plan,
    image: NDArray[np.uint8],
    requests: tuple[str, ...],
    *,
    draws: Callable[[str], np.random.Generator],
    limits: BoxLimits,
    classes: int,
) -> Plan:
    """Apply the user's transforms to a drawn canvas in order, each with its probability.

    Args:
        plan: of the canvas.
        image: uint8 (h, w, 3), RGB: the canvas; changed in place.
        requests: what `--augmentation` asks for.
        draws: returns the generator of a transform by name.
        limits: what a box keeps to, to stay an object; boxes that are returned unchanged always stay.
        classes: classes of the data set.

    Returns:
        The plan with the objects that the transforms return.

    Raises:
        InputError: a transform fails or returns invalid data.
    """
    for name, probability, transform in own_transforms(requests):
        rng = draws(name)
        if rng.random() >= probability:
            continue
        with _global_draws(rng):
            given = _called(name, transform, image, plan.boxes.copy(), plan.classes.copy(), rng)
        changed, boxes, kinds = _checked(name, given, image.shape, classes)
        if changed is not image:
            image[:] = changed
        if not np.array_equal(boxes, plan.boxes):
            boxes, kept = visible(boxes, image.shape[1], image.shape[0], limits)
            boxes, kinds = boxes[kept], kinds[kept]
        plan = replace(plan, boxes=boxes.astype(np.float32), classes=kinds)
    return plan


@contextmanager
def _global_draws(rng: np.random.Generator) -> Iterator[None]:
    """Seed the global generators that code may draw from, and restore them.

    Those of Python, NumPy and torch's CPU; so transforms that use them, such as torchvision's, depend only on seed,
    epoch and index, and change no other draws.
    """
    python, numpy, own = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seed = int(rng.integers(1 << 32))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is intended
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(own)


def _called(name: str, transform: Transform, *given: Any) -> Any:
    try:
        return transform(*given)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename}:{frame.lineno}"
        raise InputError(
            f"--augmentation {name}: fails ({type(error).__name__}: {error}; {place}). It is called with image, boxes, "
            "classes and a NumPy generator."
        ) from error


def _checked(
    name: str, given: Any, shape: tuple[int, ...], classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.int64]]:
    """Check the result of a transform.

    Raises:
        InputError: it is invalid.
    """

    def refuse(what: str, wanted: str) -> InputError:
        return InputError(f"--augmentation {name}: returns {what}; it must be {wanted}.")

    if not isinstance(given, (tuple, list)) or len(given) != 3:
        count = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
        raise refuse(f"a {type(given).__name__}{count}", "a tuple of image, boxes and classes")
    image, boxes, kinds = given
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != shape:
        raise refuse(f"an image that is {_described(image)}", f"a NumPy array, uint8 {shape}, like the input")
    boxes, kinds = _as_array(boxes), _as_array(kinds)
    if boxes.size == 0 and kinds.size == 0:
        return image, np.zeros((0, 4)), np.zeros(0, np.int64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "fiu" or not np.isfinite(boxes).all():
        raise refuse(f"boxes that are {_described(boxes)}", "finite numbers (n, 4), xyxy in pixels")
    if kinds.shape != boxes.shape[:1] or kinds.dtype.kind not in "iu":
        raise refuse(f"classes that are {_described(kinds)}", f"whole numbers ({len(boxes)},), one per box")
    turned = (boxes[:, 2:] < boxes[:, :2]).any(1)
    if turned.any():
        raise refuse(f"the box {boxes[turned.argmax()].tolist()}", "xyxy in pixels: left, upper, right and lower edge")
    if kinds.min() < 0 or kinds.max() >= classes:
        wrong = int(kinds[(kinds < 0) | (kinds >= classes)][0])
        raise refuse(f"the class {wrong}", f"0 to {classes - 1}, an index into the data set's names")
    return image, boxes.astype(np.float64), kinds.astype(np.int64)


def _as_array(value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except Exception:
        return np.array(None)


def _described(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return f"of type {type(value).__module__}.{type(value).__name__}"
    finite = value.dtype.kind not in "f" or bool(np.isfinite(value).all())
    return f"{value.dtype} {value.shape}{'' if finite else ', not finite'}"

"""Boxes for images of another size than a COCO JSON states: turned by EXIF, or resized since they were labelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.runtime.counted import counted
from lehr.sample import Fault, Severity


@dataclass(slots=True)
class Sizes:
    """Sizes of the images of a JSON, pixels.

    Attributes:
        stated: float64 (m, 2), width and height as the JSON states them; NaN if it does not.
        stored: float64 (m, 2), those of the stored pixels; NaN if the file cannot be read.
        orientation: int64 (m,), of EXIF, 1 to 8; 1 if there is none.
    """

    stated: NDArray[np.float64]
    stored: NDArray[np.float64]
    orientation: NDArray[np.int64]

    @property
    def shown(self) -> NDArray[np.float64]:
        """Width and height as displayed, with the orientation applied (m, 2)."""
        return np.where((self.orientation >= 5)[:, None], self.stored[:, ::-1], self.stored)


@dataclass(slots=True)
class Placed:
    """Boxes in pixels of the images as displayed.

    Attributes:
        xyxy: float64 (n, 4).
        refused: bool (m,), images whose labels cannot be placed with certainty.
        faults: what was done to labels, and why images are refused.
    """

    xyxy: NDArray[np.float64]
    refused: NDArray[np.bool_]
    faults: list[Fault]


def place_boxes(
    path: Path, images: list[Path], sizes: Sizes, xyxy: NDArray[np.float64], of: NDArray[np.int64]
) -> Placed:
    """Bring boxes from the pixels that a JSON counts to those of the images as displayed.

    Where the stated size is that of the stored pixels and EXIF turns them, boxes are turned too, unless some fit only
    the image as displayed. Where it has the proportions of the image, they are scaled. Else the image is refused.

    Args:
        path: the JSON, for messages.
        images: (m,), the files, for messages.
        sizes: of them.
        xyxy: (n, 4), in pixels as the JSON counts them.
        of: int64 (n,), the image of each box.
    """
    stated, shown = sizes.stated, sizes.shown
    known = np.isfinite(stated).all(1) & np.isfinite(shown).all(1)
    exchanged = stated[:, ::-1]
    with np.errstate(invalid="ignore"):
        near, near_stored = _proportional(stated, shown), _proportional(exchanged, shown)
        exact = (stated == shown).all(1)
        upright = known & near & (exact | ~(near_stored & (_apart(exchanged, shown) < _apart(stated, shown))))
        raw = known & ~upright & (sizes.orientation >= 5) & near_stored
        swapped = known & ~upright & ~raw & (exchanged == shown).all(1)
    faults: list[Fault] = []
    frame, scale = np.ones(len(stated), np.int64), np.ones((len(stated), 2))
    refused = known & ~upright & ~raw
    scale[upright] = shown[upright] / stated[upright]
    doubtful = raw | swapped
    if doubtful.any():
        in_stated, in_shown = _fit(xyxy, of, doubtful, stated, shown)
        if in_shown and not in_stated:
            refused &= ~swapped
            scale[doubtful] = shown[doubtful] / exchanged[doubtful]
            message = f"{_images(doubtful)} with width and height swapped; their boxes fit only the images as displayed"
            faults.append(_warning("size-disagrees", path, f"states {message}, so they are used unchanged"))
        elif in_shown and in_stated:
            refused |= raw
        else:
            frame[raw] = sizes.orientation[raw]
            scale[raw] = sizes.stored[raw] / stated[raw]
            if raw.any():
                faults.append(_turned(path, images, raw))
    faults += _half_turns(path, images, sizes, upright, raw & ~refused, frame)
    resized = (upright | (raw & ~refused)) & (np.abs(scale - 1) > 1e-9).any(1)
    if resized.any():
        faults.append(_resized(path, images, resized, stated, scale))
    faults += _refusals(path, images, refused, stated, shown)
    return Placed(_transformed(xyxy, of, sizes.stored, frame, scale), refused, faults)


def _apart(stated: NDArray[np.float64], actual: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(stated[:, 0] * actual[:, 1] - stated[:, 1] * actual[:, 0])


def _proportional(stated: NDArray[np.float64], actual: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether sizes have the same proportions, but for the rounding of a resize, bool (m,)."""
    return np.asarray(_apart(stated, actual) <= np.maximum(stated.sum(1), actual.sum(1)), np.bool_)


def _fit(
    xyxy: NDArray[np.float64],
    of: NDArray[np.int64],
    asked: NDArray[np.bool_],
    stated: NDArray[np.float64],
    shown: NDArray[np.float64],
) -> tuple[int, int]:
    """Count boxes of the images asked for that fit only the stated size, and only the displayed one."""
    mine = asked[of] & np.isfinite(xyxy).all(1)
    ends, images = xyxy[mine, 2:], of[mine]
    in_stated, in_shown = (ends <= stated[images] + 1).all(1), (ends <= shown[images] + 1).all(1)
    return int((in_stated & ~in_shown).sum()), int((in_shown & ~in_stated).sum())


def _half_turns(
    path: Path,
    images: list[Path],
    sizes: Sizes,
    upright: NDArray[np.bool_],
    turned: NDArray[np.bool_],
    frame: NDArray[np.int64],
) -> Iterator[Fault]:
    """Treat images that EXIF mirrors or turns without changing their proportions as it is with the others of the JSON.

    A size says nothing of them. Where labels of images that are turned by 90 degrees are for the stored pixels, so are
    these; else all is taken for as displayed, aloud.
    """
    square = sizes.stored[:, 0] == sizes.stored[:, 1]
    unknown = np.isnan(sizes.stated).any(1) & np.isfinite(sizes.stored).all(1)
    silent = (sizes.orientation > 1) & (unknown | (upright & ((sizes.orientation < 5) | square)))
    quarter = upright & (sizes.orientation >= 5) & ~square
    if not silent.any() or (quarter.any() and not turned.any()):
        return
    if turned.any() and not quarter.any():
        frame[silent] = sizes.orientation[silent]
        yield _turned(path, images, silent)
        return
    message = (
        f"{_images(silent)} mirrored, or turned by EXIF with nothing in the JSON to say whether the labels are for the "
        f"image as displayed, which is assumed ({_first(images, silent)}). Look at them"
    )
    yield _warning("turned-image", path, message)


def _turned(path: Path, images: list[Path], which: NDArray[np.bool_]) -> Fault:
    message = (
        f"states the size of the stored pixels of {_images(which)} that EXIF turns: the boxes are turned with them "
        f"({_first(images, which)}). Look at some, or store the images upright and label them again"
    )
    return _warning("turned-image", path, message)


def _resized(
    path: Path, images: list[Path], which: NDArray[np.bool_], stated: NDArray[np.float64], scale: NDArray[np.float64]
) -> Fault:
    first = int(np.flatnonzero(which)[0])
    factors = scale[which].mean(1)
    by = f"{factors.min():.3g}" if np.ptp(factors) < 0.01 else f"{factors.min():.3g} to {factors.max():.3g}"
    message = (
        f"states another size than {_images(which)} have, in the same proportions: the boxes are scaled with them, by "
        f"{by} ({images[first].name}: stated {_text(stated[first])})"
    )
    return _warning("size-disagrees", path, message)


def _refusals(
    path: Path,
    images: list[Path],
    refused: NDArray[np.bool_],
    stated: NDArray[np.float64],
    shown: NDArray[np.float64],
) -> Iterator[Fault]:
    for position in np.flatnonzero(refused).tolist():
        message = (
            f"{path.name} states a size of {_text(stated[position])}, but the image is {_text(shown[position])}: its "
            "boxes cannot be placed, so it is skipped. Restore the image that was labelled, or export the labels again"
        )
        yield Fault("other-size", images[position], message)


def _transformed(
    xyxy: NDArray[np.float64],
    of: NDArray[np.int64],
    stored: NDArray[np.float64],
    frame: NDArray[np.int64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Scale boxes, and turn those counted in stored pixels as EXIF turns their image."""
    if (scale == 1).all() and (frame == 1).all():
        return xyxy
    boxes = xyxy * np.tile(scale, 2)[of]
    turn = frame[of]
    for orientation in np.unique(turn[turn > 1]).tolist():
        which = turn == orientation
        boxes[which] = turn_boxes(boxes[which], stored[of[which]], orientation)
    return boxes


def turn_boxes(xyxy: NDArray[np.float64], stored: NDArray[np.float64], orientation: int) -> NDArray[np.float64]:
    """Turn boxes from stored pixels to those of the image as displayed.

    Args:
        xyxy: (n, 4), in stored pixels.
        stored: (n, 2), width and height of the stored pixels.
        orientation: of EXIF, 1 to 8.
    """
    x1, y1, x2, y2 = xyxy.T
    width, height = stored.T
    if orientation in (2, 3, 7, 8):  # the first column is shown right, or below
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 6, 7):  # the first row is shown below, or right
        y1, y2 = height - y2, height - y1
    sides = (x1, y1, x2, y2) if orientation < 5 else (y1, x1, y2, x2)
    return np.stack(sides, 1)


def _warning(kind: str, path: Path, message: str) -> Fault:
    return Fault(kind, path, message, severity=Severity.WARNING)


def _images(which: NDArray[np.bool_]) -> str:
    count = int(which.sum())
    return counted(count, "image")


def _first(images: list[Path], which: NDArray[np.bool_]) -> str:
    names = [images[i].name for i in np.flatnonzero(which)[:3].tolist()]
    return ", ".join(names) + (", ..." if which.sum() > len(names) else "")


def _text(size: NDArray[np.float64]) -> str:
    return f"{size[0]:g}x{size[1]:g}"

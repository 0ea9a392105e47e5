"""Report of a rebuilt batch, for people and programs: its files, values, objects and loss, and its images as PNG."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.augment.plan_values import plan_lines, plan_values
from lehr.drawing.boxes import DrawnBox, class_colour, draw_boxes, drawable
from lehr.engine.past_batches import PastBatch, PastBatches, sources_of
from lehr.engine.past_check import DigestCheck, describe_check
from lehr.engine.past_loss import PastLoss
from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file, make_inner_folder
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.techniques.multi_scale import model_input

LONGEST_STEM = 60
"""Maximum length of an image's name in the name of its PNG."""


def report(
    past: PastBatches, made: PastBatch, loss: PastLoss | None, files: list[Path], check: DigestCheck | None
) -> dict[str, Any]:
    """Return the report of a batch as plain values for JSON.

    Args:
        past: the batches of the run.
        made: the batch.
        loss: its loss; None without weights.
        files: the PNG of each image; empty if none was written.
        check: its comparison with the run's digests; None without digests.
    """
    batch, place = made.batch, made.place
    images = []
    for row, plan in enumerate(made.plans):
        index = int(batch.indices[row])
        images.append(
            {
                "image": index,
                "path": _name(past, index),
                "repeat": made.repeats[row],
                **plan_values(plan, lambda each: _name(past, each)),
                "objects": _objects(past, made, row),
                "loss": dict(loss.images[row]) if loss is not None and loss.images else None,
                "png": str(files[row]) if files else None,
            }
        )
    return {
        "run": str(past.folder),
        "epoch": place.epoch + 1,
        "step": place.number + 1,
        "steps": place.batches,
        "run_step": place.step + 1,
        "width": batch.images.shape[-1],
        "height": batch.images.shape[-2],
        "resized": made.size,
        "images": images,
        "loss": None if loss is None else _loss_values(loss),
        "digests": None if check is None else {"equal": check.equal, **asdict(check)},
        "notes": [*past.notes, *batch.faults],
    }


def report_lines(past: PastBatches, made: PastBatch, loss: PastLoss | None, check: DigestCheck | None) -> Iterator[str]:
    """Yield the report of a batch line by line, for people."""
    batch, place = made.batch, made.place
    height, width = batch.images.shape[-2:]
    resized = "" if made.size in (None, max(width, height)) else f", resized to {made.size}"
    yield (
        f"{past.folder}, {place} (step {place.step + 1} of the run): {counted(len(batch), 'image')} of "
        f"{width}x{height} "
        f"pixels{resized}"
    )
    yield from past.notes
    root = _common_folder(past, made)
    if root:
        yield f"Images are in {one_line(root)}."

    def name(index: int) -> str:
        path, window = str(past.samples[index].path), past.window(place, index)
        tile = "" if window is None else f" [{', '.join(map(str, window))}]"
        return one_line(path.removeprefix(f"{root}{os.sep}") if root else path) + tile

    yield from (f"No longer readable, replaced by another image as in training: {each}" for each in batch.faults)
    for row, plan in enumerate(made.plans):
        objects, again = len(_objects(past, made, row)), made.repeats[row]
        holds = counted(objects, "object")
        shown = f", shown for the {again + 1}. time in the epoch" if again else ""
        own = "" if loss is None or not loss.images else f", loss {_parts(loss.images[row])}"
        yield f"{row + 1:>3}. {name(int(batch.indices[row]))}: {holds}{shown}{own}"
        yield from (f"       {line}" for line in plan_lines(plan, name))
    if loss is not None:
        yield from _loss_lines(made, loss, name)
    if check is not None:
        yield describe_check(past, made, check)


def write_images(past: PastBatches, made: PastBatch, folder: Path) -> list[Path]:
    """Write the images of a batch as the model saw them, as PNG files with boxes and class names.

    Args:
        past: the batches of the run.
        made: the batch.
        folder: created if missing; existing files are replaced.

    Returns:
        The files, in the order of the batch.

    Raises:
        InputError: they cannot be written.
    """
    names = past.data.dataset.names
    images, boxes = model_input(made.batch, made.size)
    pixels = (images * 255).round_().to("cpu").byte().permute(0, 2, 3, 1).contiguous().numpy()
    files = []
    try:
        make_inner_folder(folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be created ({error.strerror}). Choose another --out.") from None
    for row, canvas in enumerate(pixels):
        own = [
            DrawnBox(box, drawable(names[index], index), class_colour(index))
            for box, index in zip(boxes[row].tolist(), made.batch.classes[row].tolist(), strict=True)
            if index >= 0
        ]
        draw_boxes(canvas, own)
        stem = _plain_stem(past.samples[int(made.batch.indices[row])].path.stem)
        path = folder / f"{row + 1:02d}-{stem}.png"
        with atomic_file(path, "Choose another --out folder.") as temporary:
            temporary.write_bytes(_png(canvas))
        files.append(path)
    return files


def _common_folder(past: PastBatches, made: PastBatch) -> str:
    """Common folder of all images of a batch; empty if there is none."""
    indices = set().union(*map(sources_of, made.plans), made.batch.indices.tolist())
    try:
        folder = os.path.commonpath([past.samples[index].path.parent for index in indices])
    except ValueError:  # on several drives, or partly relative
        return ""
    return folder if folder != os.sep else ""


def _loss_lines(made: PastBatch, loss: PastLoss, name: Callable[[int], str]) -> Iterator[str]:
    if loss.exact:
        whose = f"the weights that the run had at this step ({loss.weights})"
    elif loss.step is None:
        whose = f"{loss.weights}, which are not the run's weights at this step"
    else:
        whose = (
            f"{loss.weights}, of the run after {counted(loss.step, 'batch')}; at this step it was after "
            f"{made.place.step}, so "
            "its own loss was another"
        )
    yield f"Loss, mean per image: {_parts(loss.parts)}; gradient norm {loss.norm:.5g}; in {loss.precision}, by {whose}."
    if loss.images:
        totals = [sum(each.values()) for each in loss.images]
        worst = sorted(range(len(totals)), key=lambda row: -totals[row])[:3]
        named = ", ".join(f"{row + 1}. {name(int(made.batch.indices[row]))} ({totals[row]:.4g})" for row in worst)
        yield f"The largest: {named}."


def _loss_values(loss: PastLoss) -> dict[str, Any]:
    return {
        "weights": str(loss.weights),
        "step": loss.step,
        "exact": loss.exact,
        "precision": loss.precision,
        "parts": dict(loss.parts),
        "total": sum(loss.parts.values()),
        "gradient_norm": loss.norm,
    }


def _parts(parts: Any) -> str:
    total = sum(parts.values())
    return f"{total:.4g} ({', '.join(f'{name} {value:.4g}' for name, value in parts.items())})"


def _objects(past: PastBatches, made: PastBatch, row: int) -> list[dict[str, Any]]:
    names = past.data.dataset.names
    pairs = zip(made.batch.boxes[row].tolist(), made.batch.classes[row].tolist(), strict=True)
    return [{"xyxy": box, "class": index, "name": names[index]} for box, index in pairs if index >= 0]


def _name(past: PastBatches, index: int) -> str:
    return one_line(str(past.samples[index].path))


def _plain_stem(stem: str) -> str:
    """Make a file name safe for other systems and shells."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:LONGEST_STEM] or "image"


def _png(canvas: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".png", canvas[..., ::-1])
    if not done:
        raise InputError("An image could not be encoded as PNG.")
    return data.tobytes()

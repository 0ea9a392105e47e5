"""Draw the figures of the techniques that show images: `python docs/techniques/figures/images.py [NAME ...]`.

The images are those of the generated data set `shapes`; each figure calls the code that training calls.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from lehr.augment.colour import jitter_hsv
from lehr.augment.draw import draw
from lehr.augment.draw_on_device import draw_canvases
from lehr.augment.gpu_plan import pack
from lehr.augment.plan import plan_sample
from lehr.config import build_config
from lehr.data.batch_makers import TrainBatches
from lehr.data.cache import ImageStore, open_store
from lehr.data.formats.shapes import NAMES
from lehr.data.load import load_dataset
from lehr.data.rectangles import rectangle
from lehr.data.requests import BatchRequest, train_requests
from lehr.data.tiled_split import TiledSplit, Tiling
from lehr.drawing.boxes import DrawnBox, class_colour, draw_boxes
from lehr.losses.anchor_matching import match
from lehr.losses.task_aligned_assigner import assign
from lehr.models.anchor_head import default_anchors
from lehr.models.dfl_head import anchor_points
from lehr.options import AugmentOptions
from lehr.plots.figure import legend, new_figure, save_figure, set_title, styled
from lehr.plots.style import COLOURS, PALE
from lehr.sample import Sample
from lehr.techniques.single_class import as_one_class

HERE = Path(__file__).parent
SIDE = 256
STILL = {"mosaic": 0, "translate": 0, "scale": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "fliplr": 0}


def store() -> ImageStore:
    """The training images of `shapes`."""
    return open_store(load_dataset("shapes").splits["train"], SIDE, "ram", lambda _: None)


def busy(images: ImageStore) -> int:
    """The image with the most classes, and of these the one with the most objects."""
    return max(
        range(len(images.samples)),
        key=lambda i: (len(set(images.samples[i].classes.tolist())), len(images.samples[i].classes)),
    )


def picture(images: ImageStore, index: int, epoch: int, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An augmented image (SIDE, SIDE, 3), its boxes (n, 4) and their classes (n,)."""
    given = AugmentOptions(**{**STILL, **options})
    plan = plan_sample(images.samples, given, SIDE, seed=0, epoch=epoch, index=index, multi_image=True)
    out = np.empty((SIDE, SIDE, 3), np.uint8)
    draw(plan, images, out)
    return out, plan.boxes, plan.classes


def show_named(axis: Any, image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, title: str = "") -> None:
    """An image with its boxes and the names of their classes."""
    canvas = np.ascontiguousarray(image)
    large_first = sorted(zip(boxes.tolist(), classes.tolist(), strict=True), key=lambda each: -area(each[0]))
    draw_boxes(canvas, [DrawnBox(box, NAMES[c], class_colour(c), thickness=2) for box, c in large_first], 0.36)
    show(axis, canvas, np.zeros((0, 4)), title)


def area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def save_images(figure: Any, name: str) -> None:
    """Write a figure of photographs in 256 colours, which is half the size."""
    path = HERE / f"{name}.png"
    save_figure(figure, path, 96)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def show(
    axis: Any, image: np.ndarray, boxes: np.ndarray, title: str = "", colours: Sequence[str] | None = None
) -> None:
    """An image with its boxes."""
    from matplotlib.patches import Rectangle

    axis.imshow(image)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        colour = colours[number] if colours else "white"
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.4))
    set_title(axis, title)
    axis.set_axis_off()


def row(name: str, cases: Sequence[tuple[str, dict[str, Any]]], epoch: int = 0) -> None:
    """One image, augmented in several ways."""
    images = store()
    figure, axes = new_figure(1, len(cases), width=2.4 * len(cases), height=2.8)
    for axis, (title, options) in zip(axes, cases, strict=True):
        show_named(axis, *picture(images, busy(images), options.pop("epoch", epoch), **options), title)
    save_images(figure, name)


def mosaic() -> None:
    row(
        "mosaic",
        [(f"epoch {e}", {"mosaic": 1, "scale": 0.5, "translate": 0.1, "epoch": e}) for e in (0, 1, 2)]
        + [("closed", {})],
    )


def mixup() -> None:
    row("mixup", [("original", {}), *[(f"epoch {e}", {"mixup": 1, "epoch": e}) for e in (0, 1, 2)]])


def copy_paste() -> None:
    row("copy-paste", [("original", {}), *[(f"epoch {e}", {"copy_paste": 1, "epoch": e}) for e in (0, 1, 2)]])


def random_perspective() -> None:
    cases: list[tuple[str, dict[str, Any]]] = [("original", {}), ("translate 0.2", {"translate": 0.2})]
    cases += [("scale 0.5", {"scale": 0.5}), ("degrees 20", {"degrees": 20}), ("shear 20", {"shear": 20})]
    row("random-perspective", [*cases, ("perspective 0.001", {"perspective": 0.001})], epoch=2)


def colour_jitter() -> None:
    jitter = {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4}
    row("colour-jitter", [("original", {}), *[(f"epoch {e}", {**jitter, "epoch": e}) for e in (0, 1, 2, 3)]])


def cutmix() -> None:
    row("cutmix", [("original", {}), *[(f"epoch {e}", {"cutmix": 1, "epoch": e}) for e in (2, 7, 13)]])


def random_erasing() -> None:
    row("random-erasing", [("original", {}), *[(f"epoch {e}", {"erasing": 1, "epoch": e}) for e in (0, 1, 2)]])


def augmentations_by_name() -> None:
    """The weather of the example package."""
    sys.path.insert(0, str(HERE.parents[2] / "examples" / "lehr-example" / "src"))
    images, name = store(), "lehr_example.weather:Weather"
    make = TrainBatches(images, AugmentOptions(**STILL, augmentation=(name,)), SIDE, 0, 100, classes=5)
    figure, axes = new_figure(1, 4, width=9.6, height=2.8)
    show_named(axes[0], *picture(images, busy(images), 0), "original")
    for axis, epoch in zip(axes[1:], (0, 4, 9), strict=True):
        batch = make(BatchRequest(epoch, [busy(images)]))
        real = batch.classes[0] >= 0
        boxes, classes = batch.boxes[0][real].numpy(), batch.classes[0][real].numpy()
        show_named(axis, batch.images[0].permute(1, 2, 0).numpy(), boxes, classes, f"epoch {epoch}")
    save_images(figure, "augmentations-by-name")


def hue() -> None:
    """All hues, before and after."""
    strip = np.zeros((40, 360, 3), np.uint8)
    strip[..., 0], strip[..., 1:] = np.arange(360) // 2, 255
    plain = cv2.cvtColor(strip, cv2.COLOR_HSV2RGB)
    cases = [("original", 1.0, 0), ("times 0.9", 0.9, 0), ("times 1.1", 1.1, 0)]
    cases += [("18 degrees less", 1.0, -9), ("18 degrees more", 1.0, 9)]
    figure, axes = new_figure(len(cases), 1, width=7.2, height=0.62)
    for axis, (title, gain, shift) in zip(axes, cases, strict=True):
        jittered = plain.copy()
        jitter_hsv(jittered, (gain, 1.0, 1.0), shift)
        axis.imshow(jittered, aspect="auto")
        axis.text(-6, 20, title, ha="right", va="center")
        axis.set_axis_off()
    save_figure(figure, HERE / "hue.png", 96)


def mixup_beta() -> None:
    """Density of the first canvas's share."""
    shares = np.linspace(0.001, 0.999, 999)
    figure, (axis,) = new_figure(1, 1, width=6, height=2.8)
    for beta in (32, 8, 1.5, 1):
        scale = math.exp(math.lgamma(2 * beta) - 2 * math.lgamma(beta))
        axis.plot(shares, scale * (shares * (1 - shares)) ** (beta - 1), label=f"--mixup-beta {beta}")
    axis.set(xlabel="share of the first canvas", ylabel="density", xlim=(0, 1), ylim=(0, None))
    legend(axis)
    save_figure(figure, HERE / "mixup-beta.svg")


def box_filter() -> None:
    images = store()
    shares = (0.1, 0.5, 0.9)
    figure, axes = new_figure(1, len(shares), width=2.6 * len(shares), height=2.9)
    view = {"mosaic": 1, "scale": 0.5, "translate": 0.1, "epoch": 85}
    _, every, _ = picture(images, busy(images), **view, min_visible=0, min_box_side=0, max_box_ratio=1e6)
    for axis, share in zip(axes, shares, strict=True):
        image, kept, _ = picture(images, busy(images), **view, min_visible=share)
        there = {tuple(box) for box in kept.tolist()}
        colours = ["white" if tuple(box) in there else COLOURS[1] for box in every.tolist()]
        show(axis, image, every, f"--min-visible {share:g}", colours)
    save_images(figure, "box-filter")


def flips() -> None:
    row(
        "flips",
        [("original", {}), ("fliplr", {"fliplr": 1}), ("flipud", {"flipud": 1}), ("both", {"fliplr": 1, "flipud": 1})],
    )


def presets() -> None:
    from lehr.hyperparameters import PRESETS

    images = store()
    figure, axes = new_figure(len(PRESETS), 4, width=9.6, height=2.6)
    for line, preset in enumerate(PRESETS):
        options = build_config({"hyp": preset, "model": "yolov5n"}).augment.model_dump()
        for column in range(4):
            drawn = picture(images, busy(images) + column, column, **options)
            show_named(axes[4 * line + column], *drawn, preset if column == 0 else "")
    save_images(figure, "hyperparameter-files")


def single_class() -> None:
    dataset = load_dataset("shapes")
    images = store()
    figure, axes = new_figure(1, 2, width=6, height=3)
    for axis, data, title in zip(axes, (dataset, as_one_class(dataset)), ("five classes", "--single-cls"), strict=True):
        sample = data.splits["train"][busy(images)]
        image, _ = images(busy(images))
        large_first = sorted(
            zip(sample.boxes.tolist(), sample.classes.tolist(), strict=True), key=lambda e: -area(e[0])
        )
        canvas = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        scale = SIDE / image.shape[0]
        boxes = [
            DrawnBox([scale * side for side in b], data.names[c], class_colour(c), thickness=2) for b, c in large_first
        ]
        draw_boxes(canvas, boxes, 0.36)
        show(axis, canvas, np.zeros((0, 4)), title)
    save_images(figure, "single-class")


def rectangular() -> None:
    """Images of four shapes, cut from the generated ones."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(Path("x"), int(w), int(h), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        for w, h in rng.choice([(640, 480), (640, 360), (480, 640), (640, 640), (1920, 800)], 32)
    ]
    figure, axes = new_figure(1, 2, width=9, height=3)
    for axis, rect, title in zip(axes, (False, True), ("squares", "--rect"), strict=True):
        place = used = whole = 0
        for request in train_requests(samples, 8, 0, 0, rect=rect):
            indices = request.images
            width, height = rectangle(samples, indices, 640) if rect else (640, 640)
            for index in indices:
                scale = min(width / samples[index].width, height / samples[index].height)
                w, h = samples[index].width * scale, samples[index].height * scale
                axis.add_patch(_box(place, 0, width / 8, height, PALE))
                axis.add_patch(_box(place + (width - w) / 16, (height - h) / 2, w / 8, h, COLOURS[0]))
                place += width / 8 + 4
                used, whole = used + w * h, whole + width * height
            place += 30
        axis.set(xlim=(0, place), ylim=(0, 660), title=f"{title}: {used / whole:.0%} of the pixels are image")
        axis.set_axis_off()
    save_figure(figure, HERE / "rectangular-batches.svg")


def _box(x: float, y: float, width: float, height: float, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, color=colour, linewidth=0)


def anchor_matching() -> None:
    images = store()
    image, boxes, _ = picture(images, busy(images), 0)
    grids = [(SIDE // stride, SIDE // stride) for stride in (8, 16, 32)]
    anchors = default_anchors() * SIDE / 640
    padded = torch.from_numpy(boxes).unsqueeze(0)
    classes = torch.zeros(1, len(boxes), dtype=torch.int64)
    figure, axes = new_figure(1, 3, width=9, height=3.35)
    first, colours = 0, [COLOURS[i % 8] for i in range(len(boxes))]
    matches = match(padded, classes, anchors, grids, (8, 16, 32))
    levels = zip(axes, *matches, grids, (8, 16, 32), strict=True)
    for axis, rows, valid, (height, width), stride in levels:
        show(axis, image, boxes, f"stride {stride}: {int(valid.sum())} matches", colours)
        for index in range(len(boxes)):
            cells = {(int(r) - first) % (height * width) for r in rows[0, index][valid[0, index]]}
            for cell in cells:
                patch = _box(cell % width * stride, cell // width * stride, stride, stride, COLOURS[index % 8])
                patch.set_alpha(0.55)
                axis.add_patch(patch)
        first += 3 * height * width
    save_images(figure, "anchor-matching")


def task_aligned() -> None:
    images = store()
    image, boxes, _ = picture(images, busy(images), 0)
    sizes = [(SIDE // stride, SIDE // stride) for stride in (8, 16, 32)]
    points, _ = anchor_points(sizes, (8, 16, 32), torch.device("cpu"))
    # A head in the middle of its training: boxes about right where it is near an object, better near the centre.
    true = torch.from_numpy(boxes)
    centres = (true[:, :2] + true[:, 2:]) / 2
    distance = torch.cdist(points, centres) / (true[:, 2:] - true[:, :2]).mean(1)
    nearest = distance.argmin(1)
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (len(points), 4))).float()
    spread = (true[:, 2:] - true[:, :2]).mean(1)[nearest, None] * (0.05 + 0.25 * distance.min(1).values[:, None])
    predicted = (true[nearest] + noise * spread).unsqueeze(0)
    scores = torch.full((1, len(points), 1), 0.5)
    found = assign(scores, predicted, points, true.unsqueeze(0), torch.zeros(1, len(boxes), dtype=torch.int64))
    figure, (axis,) = new_figure(1, 1, width=5, height=4.6)
    colours = [COLOURS[i % 8] for i in range(len(boxes))]
    show(axis, image, boxes, "points by object; the larger, the higher the target score", colours)
    for point in torch.nonzero(found.positive[0]).flatten().tolist():
        colour = COLOURS[int(found.objects[0, point]) % 8]
        size = 2 + 8 * float(found.weights[0, point])
        axis.plot(
            *points[point].tolist(), "o", markersize=size, color=colour, markeredgecolor="white", markeredgewidth=0.6
        )
    save_images(figure, "task-aligned-assignment")


def on_device() -> None:
    images = store()
    given = AugmentOptions(degrees=15, shear=3)
    plan = plan_sample(images.samples, given, SIDE, seed=0, epoch=2, index=busy(images), multi_image=True)
    here = np.empty((SIDE, SIDE, 3), np.uint8)
    draw(plan, images, here)
    there = draw_canvases(pack([plan], images, SIDE, SIDE))[0].permute(1, 2, 0).numpy()
    difference = np.clip(40 * np.abs(here.astype(int) - there), 0, 255).astype(np.uint8)
    figure, axes = new_figure(1, 3, width=8.4, height=3)
    for axis, image, title in zip(
        axes, (here, there, difference), ("on the CPU", "on the device", "40 x difference"), strict=True
    ):
        show(axis, image, plan.boxes if image is not difference else np.zeros((0, 4)), title)
    save_images(figure, "drawing-on-the-device")


def tiled_training() -> None:
    """A large image of generated ones, its tiles in two epochs, and one of them as the network sees it."""
    small = load_dataset("shapes").splits["train"][:24]
    sources, side = open_store(small, 128, "ram", lambda _: None), 128
    rows, columns = 4, 6
    strips = [[sources(row * columns + column)[0] for column in range(columns)] for row in range(rows)]
    large = np.concatenate([np.concatenate(strip, 1) for strip in strips])
    shifts = [np.tile((side * (index % columns), side * (index // columns)), 2) for index in range(len(small))]
    boxes = np.concatenate([each.boxes + shift for each, shift in zip(small, shifts, strict=True)]).astype(np.float32)
    classes = np.concatenate([each.classes for each in small])
    split = TiledSplit([Sample(small[0].path, columns * side, rows * side, boxes, classes)], Tiling(160, 0.2, 0.1))
    figure, axes = new_figure(1, 3, width=10.4, height=2.6)
    colours = ["white"] * len(split)
    colours[8] = COLOURS[1]
    for axis, epoch in zip(axes, (0, 1), strict=False):
        windows = [split.in_epoch(0, epoch).window(number) for number in range(len(split))]
        order = sorted(range(len(split)), key=lambda number: number == 8)
        show(axis, large, np.array(windows)[order], f"epoch {epoch}", [colours[number] for number in order])
    x1, y1, x2, y2 = split.in_epoch(0, 1).window(8)
    show(axes[2], large[y1:y2, x1:x2], split.in_epoch(0, 1)[8].boxes, "a tile of epoch 1, with its objects")
    save_images(figure, "tiled-training")


FIGURES: dict[str, Callable[[], None]] = {
    "mosaic": mosaic,
    "mixup": mixup,
    "mixup-beta": mixup_beta,
    "cutmix": cutmix,
    "augmentations-by-name": augmentations_by_name,
    "random-erasing": random_erasing,
    "box-filter": box_filter,
    "hue": hue,
    "copy-paste": copy_paste,
    "random-perspective": random_perspective,
    "colour-jitter": colour_jitter,
    "flips": flips,
    "hyperparameter-files": presets,
    "single-class": single_class,
    "rectangular-batches": rectangular,
    "anchor-matching": anchor_matching,
    "task-aligned-assignment": task_aligned,
    "drawing-on-the-device": on_device,
    "tiled-training": tiled_training,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or FIGURES:
        with styled():
            FIGURES[name]()

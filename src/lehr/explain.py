"""Every technique with its value in a run, why, and how to turn it off: what `lehr train --explain` lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lehr.preview import Preview
from lehr.techniques.schedule import schedule_name

PAGES = "docs/techniques"


@dataclass(frozen=True, slots=True)
class Technique:
    """One technique in a run.

    Attributes:
        name: its name.
        on: whether the run uses it.
        value: with what values, where it is on; how to turn it on, where it is off.
        why: what it is good for, in one line.
        off: the option that turns it off; empty where there is nothing to turn off.
        page: its page of documentation, from the repository's root.
    """

    name: str
    on: bool
    value: str
    why: str
    off: str
    page: str


def techniques(run: Preview) -> list[Technique]:
    """All techniques of a run, those that are off too.

    Args:
        run: the run to come.
    """
    return [*_course(run), *_model(run), *_data(run), *_loss(run), *_augmentation(run), *_device(run)]


def _technique(
    page: str, name: str, on: bool, value: str, why: str, off: str = "", turn_on: str = "see its page"
) -> Technique:
    return Technique(name, on, value if on else turn_on, why, off, f"{PAGES}/{page}.md")


def _course(run: Preview) -> Iterator[Technique]:
    options, plan = run.config.schedule, run.plan
    choice = plan.optimizer
    yield _technique(
        "optimizers",
        "optimizer",
        True,
        f"{choice.name}, lr0 {choice.lr0:g}, momentum {choice.momentum:g}, weight decay {plan.weight_decay:g}",
        f"{'chosen' if options.optimizer == 'auto' else 'named'} for {plan.steps} steps; only weights decay",
        "--weight-decay 0",
    )
    yield _technique(
        "schedules",
        "schedule",
        schedule_name(options) != "constant",
        f"{schedule_name(options)}, from {choice.lr0:g} to {choice.lr0 * options.lrf:g}",
        "large steps first, small ones to settle",
        "--lr-schedule constant",
        "--lr-schedule linear",
    )
    yield _technique(
        "warmup",
        "warmup",
        plan.warmup > 0,
        f"{options.warmup}, {plan.warmup} steps",
        "random weights and fresh statistics mislead at first",
        "--warmup none",
        "--warmup gradual",
    )
    batches = plan.accumulate
    yield _technique(
        "accumulation",
        "accumulation",
        batches > 1,
        f"{batches} batches an optimizer step (nominal batch {choice.nominal_batch})",
        "small batches learn as large ones do; few images need each batch as a step",
        "--nominal-batch 1",
        "--nominal-batch 64",
    )
    yield _technique(
        "clipping",
        "gradient clipping",
        options.clip_norm > 0,
        f"norm at most {options.clip_norm:g}",
        "one strange batch cannot throw the weights away",
        "--clip-norm 0",
        "--clip-norm 10",
    )
    back = f"; {options.skip_limit} in a row: back to a checkpoint, rates times {options.rollback_lr:g}"
    yield _technique(
        "non-finite-steps",
        "steps that are not finite",
        True,
        "left out" + (back if options.skip_limit else ""),
        "no batch can spoil the weights, and a run that runs off is led back",
    )
    yield _technique(
        "ema",
        "average of the weights",
        options.ema_decay > 0,
        f"decay {options.ema_decay:g}, rising over {options.ema_tau:g} updates",
        "the average is steadier and better than any single step's weights",
        "--ema-decay 0",
        "--ema-decay 0.9999",
    )
    yield _technique(
        "early-stopping",
        "early stopping",
        0 < options.patience < plan.epochs,
        f"after {options.patience} epochs without a better result",
        "time is not spent on what no longer improves",
        "--patience 0",
        f"--patience N, N below {plan.epochs}",
    )


def _model(run: Preview) -> Iterator[Technique]:
    options = run.config.model
    with_anchors = run.config.family.anchors
    yield _technique(
        "pretrained-start",
        "pretrained start",
        options.weights is not None,
        str(options.weights),
        "features learned elsewhere need fewer images here",
        "leave out --weights",
        "--weights FILE",
    )
    yield _technique(
        "freezing",
        "freezing",
        options.freeze is not None,
        options.freeze or "",
        "what is learned already cannot be spoilt, and needs no gradient",
        "leave out --freeze",
        "--freeze 10",
    )
    yield _technique(
        "autoanchor",
        "AutoAnchor",
        with_anchors and options.autoanchor and options.weights is None,
        f"fits where recall is below 0.98, threshold {run.config.loss.anchor_t:g}",
        "an object that no anchor is like is never learned",
        "--no-autoanchor",
        "--autoanchor, without --weights" if with_anchors else "a family with anchors, such as yolov5n",
    )
    yield _technique(
        "frequency-bias",
        "class-frequency bias",
        options.frequency_bias,
        "shares of the training split",
        "the first epochs need not learn how common each class is",
        "--no-frequency-bias",
        "--frequency-bias",
    )


def _data(run: Preview) -> Iterator[Technique]:
    data = run.config.data
    cells = data.grid_min is not None and data.grid_max is not None
    scale = (
        f"{data.grid_min} to {data.grid_max} cells" if cells else f"within {data.multi_scale:g} of {run.config.imgsz}"
    )
    multi = cells or data.multi_scale > 0
    yield _technique(
        "multi-scale",
        "multi-scale",
        multi,
        scale,
        "objects of every size, and images of every size later on",
        "--multi-scale 0",
        "--multi-scale 0.5",
    )
    yield _technique(
        "rectangular-batches",
        "rectangular batches",
        data.rect,
        "smallest rectangle of whole strides",
        "no work on padding; without mosaic",
        "--no-rect",
        "--rect",
    )
    yield _technique(
        "image-weights",
        "image weights",
        data.image_weights,
        "by class frequency and precision",
        "images with rare, badly found classes are seen more often",
        "--no-image-weights",
        "--image-weights",
    )
    yield _technique(
        "single-class",
        "single class",
        data.single_cls,
        "all classes as one",
        "where only the place matters",
        "--no-single-cls",
        "--single-cls",
    )


def _loss(run: Preview) -> Iterator[Technique]:
    loss = run.config.loss
    if not run.config.family.anchors:
        least = f", sides of at least {loss.least_side:g}" if loss.least_side > 0 else ""
        yield _technique(
            "task-aligned-assignment",
            "task-aligned assignment",
            True,
            f"the 10 best points of each object{least}",
            "points that score and overlap well answer for the object",
        )
    else:
        yield _technique(
            "anchor-matching",
            "anchor matching",
            True,
            f"sides within {loss.anchor_t:g} times, three cells",
            "anchors of like shape near the centre answer for the object",
        )
    yield _technique(
        "label-smoothing",
        "label smoothing",
        loss.label_smoothing > 0,
        f"{loss.label_smoothing:g}",
        "scores stay honest where labels are doubtful",
        "--label-smoothing 0",
        "--label-smoothing 0.1",
    )
    yield _technique(
        "focal-loss",
        "focal loss",
        loss.fl_gamma > 0,
        f"gamma {loss.fl_gamma:g}",
        "easy background counts less",
        "--fl-gamma 0",
        "--fl-gamma 1.5",
    )
    yield _technique(
        "class-weights",
        "class weights",
        loss.class_weights > 0,
        f"power {loss.class_weights:g}",
        "rare classes count more",
        "--class-weights 0",
        "--class-weights 0.5",
    )


def _augmentation(run: Preview) -> Iterator[Technique]:
    augment, rect = run.config.augment, run.config.data.rect
    yield _technique(
        "mosaic",
        "mosaic",
        augment.mosaic > 0 and not rect,
        f"probability {augment.mosaic:g}, closed for the last {min(augment.close_mosaic, run.plan.epochs)} epochs",
        "four images in one: more objects, more sizes, more surroundings",
        "--mosaic 0",
        "--mosaic 1, without --rect",
    )
    yield _technique(
        "mixup",
        "mixup",
        augment.mixup > 0 and not rect,
        f"probability {augment.mixup:g}",
        "blends teach what shines through; for large models",
        "--mixup 0",
        "--mixup 0.1",
    )
    yield _technique(
        "copy-paste",
        "copy-paste",
        augment.copy_paste > 0 and not rect,
        f"probability {augment.copy_paste:g}",
        "objects in new surroundings",
        "--copy-paste 0",
        "--copy-paste 0.1",
    )
    moves = {name: getattr(augment, name) for name in ("degrees", "translate", "scale", "shear", "perspective")}
    yield _technique(
        "random-perspective",
        "random perspective",
        any(moves.values()),
        ", ".join(f"{name} {value:g}" for name, value in moves.items() if value),
        "the camera stands elsewhere each time",
        " ".join(f"--{name} 0" for name, value in moves.items() if value),
        "--scale 0.5 --translate 0.1",
    )
    yield _technique(
        "colour-jitter",
        "colour jitter",
        any((augment.hsv_h, augment.hsv_s, augment.hsv_v)),
        f"hue {augment.hsv_h:g}, saturation {augment.hsv_s:g}, value {augment.hsv_v:g}",
        "the light is different each time",
        "--hsv-h 0 --hsv-s 0 --hsv-v 0",
        "--hsv-h 0.015 --hsv-s 0.7 --hsv-v 0.4",
    )
    yield _technique(
        "flips",
        "flips",
        any((augment.fliplr, augment.flipud)),
        f"left-right {augment.fliplr:g}, upside-down {augment.flipud:g}",
        "a mirrored object is still the object",
        "--fliplr 0 --flipud 0",
        "--fliplr 0.5",
    )


def _device(run: Preview) -> Iterator[Technique]:
    speed, batch = run.config.speed, run.config.data.batch
    yield _technique(
        "mixed-precision",
        "mixed precision",
        speed.amp != "off",
        f"{speed.amp}, where the device has it and its check passes",
        "16 bits are several times as fast on a GPU, and take half the memory",
        "--amp off",
        "--amp auto",
    )
    yield _technique(
        "drawing-on-the-device",
        "drawing on the device",
        speed.augment_on != "cpu",
        "on a GPU" if speed.augment_on == "auto" else "on any device",
        "the device need not wait for cores that draw",
        "--augment-on cpu",
        "--augment-on auto",
    )
    yield _technique(
        "compiled-steps",
        "compiled steps",
        speed.compile != "off",
        f"torch.compile, {speed.compile}",
        "fewer passes over the features, no Python between them",
        "--compile off",
        "--compile default",
    )
    devices = run.config.devices
    yield _technique(
        "sync-batch-norm",
        "synchronized BatchNorm",
        devices.sync_bn,
        "over the images of all processes, where there are several",
        "few images on each device say little about their statistics",
        "--no-sync-bn",
        "--sync-bn",
    )
    yield _technique(
        "autobatch",
        "AutoBatch",
        not isinstance(batch, int),
        f"measured before the run, {'60%' if batch == 'auto' else f'{float(batch):.0%}'} of the memory",
        "as many images a step as the device takes, and the rates allow",
        "--batch 16",
        "--batch auto",
    )

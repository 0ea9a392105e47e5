"""What decides a training, found the slow way: from the parts of a run themselves, and not from its options.

Plans of canvases, batches, rates, start of the model, and the loss with its gradient are all that options can change;
two runs that have all of them in common are the same run.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lehr.augment.plan import plan_sample
from lehr.config import TrainConfig
from lehr.data.batch_makers import TrainBatches
from lehr.data.difficult import with_difficult
from lehr.data.rectangles import rectangle
from lehr.data.tiled_split import TiledSplit, Tiling, images_of, in_tiles, tiling_of
from lehr.engine.data import epoch_requests
from lehr.engine.model import start_model
from lehr.engine.setup import sizes_of
from lehr.losses.build import build_loss
from lehr.sample import Dataset, Sample
from lehr.techniques.class_weights import class_weights, shown_counts
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema_decay import ema_decay
from lehr.techniques.layer_rates import backbone_parameters
from lehr.techniques.optimizer import build_optimizer
from lehr.techniques.plan import plan_training
from lehr.techniques.pretrained_start import known_classes, starts_trained
from lehr.techniques.single_class import as_one_class

Objects = tuple[tuple[int, ...], ...]
UNLIKE = ((0, 0, 1), (0,), (0, 2), (), (0, 0), (1, 0))
"""Classes of the objects of each image: unlike in number, and one image without objects."""
ALIKE = ((0, 1),) * 4
SINGLE = ((0,), (0, 0), (), (0,))
DIFFICULT = ((0, -1), (-2,), (1, 0), (0,), (0, 0), (0,), (0,))
"""The second and the third object are difficult."""


@cache
def data_set(objects: Objects) -> Dataset:
    """Images of several shapes with objects of these classes, those below 0 difficult ones of class -1 - it.

    None of the images is there.
    """
    rng, samples = np.random.default_rng(0), []
    for number, given in enumerate(objects):
        width, height = (64, 48) if number % 2 else (48, 64)
        corners = rng.uniform(2, 30, (len(given), 2))
        boxes = np.concatenate((corners, corners + rng.uniform(3, 17, (len(given), 2))), 1).astype(np.float32)
        classes = np.array(given, np.int64)
        hard, classes = classes < 0, np.where(classes < 0, -1 - classes, classes)
        difficult = hard if hard.any() else None
        samples.append(Sample(Path(f"{number}.png"), width, height, boxes.reshape(-1, 4), classes, difficult=difficult))
    names = tuple("abc"[: 1 + max(int(sample.classes.max(initial=0)) for sample in samples)])
    return Dataset("x", names, {"train": tuple(samples), "val": tuple(samples)})


OLDER = data_set(((0, 0, 2), (1,), (0, 1), (0,), (), (2,), (0, 0)))
"""An older data set, of which images are replayed."""


def trained_on(config: TrainConfig, objects: Objects) -> Dataset:
    """The data set as a run trains on it, the same one each time."""
    return _trained_on(objects, config.data.single_cls, config.data.difficult, tiling_of(config))


@cache
def _trained_on(objects: Objects, single_cls: bool, difficult: str, tiling: Tiling | None) -> Dataset:
    dataset = data_set(objects)
    dataset = with_difficult(as_one_class(dataset) if single_cls else dataset, difficult)
    return replace(dataset, splits={**dataset.splits, "train": in_tiles(dataset.splits["train"], tiling)})


def joined(config: TrainConfig, data: Dataset) -> tuple[Sequence[Sample], int]:
    """The images that batches are made from: the run's own, and older ones behind them; and how many are its own."""
    own, last = data.splits["train"], len(data.names) - 1
    if config.data.replay == 0:
        return own, len(own)
    older = [replace(sample, classes=np.minimum(sample.classes, last)) for sample in OLDER.splits["train"]]
    return in_tiles([*images_of(own), *older], tiling_of(config)), len(own)


def counted(config: TrainConfig, data: Dataset) -> list[float]:
    """Objects of each class that an epoch shows."""
    samples, own = joined(config, data)
    return shown_counts(samples, own, config.data.replay, len(data.names))


def deciding(config: TrainConfig, objects: Objects) -> dict[str, str]:
    """Digests of the parts that decide a run on some images.

    Args:
        config: the run's options.
        objects: of its images.
    """
    groups = config.model_dump()
    data, model, schedule, loss, augment = (groups[name] for name in ("data", "model", "schedule", "loss", "augment"))
    epochs, seed, imgsz, replay = config.epochs, config.run.seed, config.imgsz, {"replay": data["replay"]}
    parts = {
        "course": (
            _course,
            schedule | replay | {"tile": tiling_of(config), "model": model, "batch": config.batch, "epochs": epochs},
        ),
        "canvases": (
            _canvases,
            augment | {"rect": data["rect"], "tile": tiling_of(config), "imgsz": imgsz, "seed": seed, "epochs": epochs},
        ),
        "partners": (
            _partners,
            data
            | {name: augment[name] for name in ("mosaic", "mixup", "cutmix", "copy_paste", "min_visible")}
            | {"seed": seed, "epochs": epochs},
        ),
        "batches": (_batches, data | {"min_visible": augment["min_visible"], "seed": seed, "epochs": epochs}),
        "start": (
            _start,
            model | replay | {"tile": tiling_of(config), "anchor_t": loss["anchor_t"], "imgsz": imgsz, "seed": seed},
        ),
        "rates": (_rates, replay | {"tile": tiling_of(config), "model": model, "lr": schedule["backbone_lr_mult"]}),
        "loss": (_loss, loss | replay | {"tile": tiling_of(config), "model": model["model"], "imgsz": imgsz}),
    }
    return {name: _digest(part, pickle.dumps(key), config, objects) for name, (part, key) in parts.items()} | {
        "names": "object" if config.data.single_cls else "",
        "val": str(config.run.max_det),
    }


_KNOWN: dict[tuple[Any, ...], str] = {}
_STARTED: dict[tuple[Any, ...], Any] = {}
"""The last model that was started."""


def _digest(part: Any, key: bytes, config: TrainConfig, objects: Objects) -> str:
    """Compute a part once for all configurations that have in common what it is made from."""
    place = (part, key, objects, config.data.single_cls, config.data.difficult, tiling_of(config))
    if place not in _KNOWN:
        found = _plain(part(config, trained_on(config, objects)))
        _KNOWN[place] = hashlib.sha256(pickle.dumps(found)).hexdigest()
    return _KNOWN[place]


def _plain(value: Any) -> Any:
    """A value whose pickle depends on nothing but what is in it."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, Mapping):
        return [(_plain(name), _plain(each)) for name, each in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return repr(value)


def _course(config: TrainConfig, data: Dataset) -> Any:
    options, count = config.schedule, len(data.splits["train"])
    classes = len(data.names)
    plan = plan_training(
        options,
        epochs=config.epochs,
        images=count,
        batch=config.batch,
        classes=classes,
        trained=starts_trained(config, classes),
        known=known_classes(config, data.names),
        replay=config.data.replay,
    )
    rates = [plan.at(step) for step in range(plan.steps)]
    rounded = [(*(round(each, 12) for each in (*rate.lr, rate.momentum)), rate.accumulate) for rate in rates]
    decays = [ema_decay(update + 1, options.ema_decay, plan.ema_tau) for update in range(plan.updates)]
    stopping = EarlyStopping(options.patience)
    stopping.update(0, 0.5)
    end = next((epoch + 1 for epoch in range(config.epochs) if stopping.should_stop(epoch)), config.epochs)
    # How a run is led back: `DivergenceMonitor`, which tests/engine/test_going_wrong.py drives.
    back = (options.skip_limit, options.rollbacks, options.rollback_lr if options.rollbacks else 1.0)
    led = back if options.skip_limit else ()
    averaged = any(decays)
    return (plan.optimizer.name, rounded, plan.weight_decay, averaged and decays, end, led, options.clip_norm)


def _canvases(config: TrainConfig, data: Dataset) -> Any:
    samples, seed, rect = data.splits["train"], config.run.seed, config.data.rect
    make = TrainBatches(None, config.augment, config.imgsz, seed, config.epochs, rect)  # type: ignore[arg-type]
    found: list[Any] = [[make.mosaic_on(epoch) for epoch in range(config.epochs)]]
    for epoch in sorted({0, config.epochs - 1}):  # what others draw follows from the same options
        samples = samples.in_epoch(seed, epoch) if isinstance(samples, TiledSplit) else samples
        for index in range(len(samples)):
            shape = rectangle(samples, [index], config.imgsz) if rect else (config.imgsz, config.imgsz)
            plan = plan_sample(
                samples,
                config.augment,
                config.imgsz,
                seed=seed,
                epoch=epoch,
                index=index,
                multi_image=make.mosaic_on(epoch),
                shape=shape,
            )
            found.append(_of_plan(plan))
    return found


def _of_plan(plan: Any) -> Any:
    tiles = [(tile.index, np.asarray(tile.matrix), tile.region) for tile in plan.tiles]
    blend = None if plan.blend is None else (_of_plan(plan.blend[0]), plan.blend[1])
    patch = None if plan.patch is None else (_of_plan(plan.patch[0]), plan.patch[1])
    return (tiles, plan.boxes, plan.classes, plan.hsv, plan.hue_shift, plan.erased, blend, patch)


def _batches(config: TrainConfig, data: Dataset) -> Any:
    (samples, own), classes, sizes = joined(config, data), len(data.names), sizes_of(config)
    found = []
    for epoch in range(config.epochs):
        maps = np.linspace(0.1, 0.6, classes) * epoch
        requests = epoch_requests(config, samples, maps.tolist(), epoch, own)
        drawn = [config.imgsz if sizes is None else sizes.draw(config.run.seed, epoch, n) for n in range(len(requests))]
        found.append(([request.images for request in requests], drawn))
    return found


def _partners(config: TrainConfig, data: Dataset) -> Any:
    """Images that partners are drawn from, of each batch, by their places in the epoch; None where from all."""
    augment, (samples, own) = config.augment, joined(config, data)
    if config.data.rect or not any((augment.mosaic, augment.mixup, augment.cutmix, augment.copy_paste)):
        return None
    requests = epoch_requests(config, samples, [0.0] * len(data.names), 0, own)
    images = sum(len(request.images) for request in requests)
    counts = [None if request.shown is None else len(request.shown) for request in requests]
    return None if set(counts) <= {None, images} else counts


def _started(config: TrainConfig, data: Dataset) -> Any:
    """The model that a run starts with, made once for the parts that look at it."""
    key = (config.model.model_dump(), config.data.replay, config.loss.anchor_t, config.imgsz, config.run.seed)
    place = (pickle.dumps(key), id(data))
    if place not in _STARTED:
        (samples, _), counts = joined(config, data), counted(config, data)
        _STARTED.clear()
        _STARTED[place] = start_model(config, data.names, samples, lambda line: None, counts=counts).model
    return _STARTED[place]


def _start(config: TrainConfig, data: Dataset) -> Any:
    model = _started(config, data)
    trained = [parameter.requires_grad for parameter in model.parameters()]
    return (dict(model.state_dict()), trained)


def _rates(config: TrainConfig, data: Dataset) -> Any:
    model, multiple = _started(config, data), config.schedule.backbone_lr_mult
    choice = plan_training(config.schedule, epochs=1, images=1, batch=1, classes=1).optimizer
    optimizer = build_optimizer(model, choice, 0.1, backbone_parameters(model) if multiple != 1 else (), multiple)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optimizer.param_groups
    return sorted((names[id(each)], group.get("lr_mult", 1.0)) for group in groups for each in group["params"])


def _loss(config: TrainConfig, data: Dataset) -> Any:
    """Loss and gradient on objects of several sizes, for predictions of a model that knows nothing."""
    options = config.loss
    model = _plain_model(config.model.model, data.names, config.imgsz)
    weights = None
    if options.class_weights:
        weights = torch.tensor(class_weights(counted(config, data), options.class_weights))
    loss = build_loss(model, options, config.imgsz, weights)
    boxes = torch.tensor(
        [[[2.0, 3, 30, 40], [20, 30, 26, 37], [31, 34, 60, 60]], [[9.0, 9, 30, 20], [0.0] * 4, [0.0] * 4]]
    )
    classes = torch.tensor([[0, 0, 0], [0, -1, -1]])
    classes[0, 1] = len(data.names) - 1
    prediction = _prediction(config.model.model, data.names, config.imgsz)
    learned = {
        name: getattr(prediction, name).detach().requires_grad_()
        for name in ("distances", "logits")
        if hasattr(prediction, name)
    }
    parts = loss(replace(prediction, **learned), boxes, classes)
    gradients = torch.autograd.grad(parts.sum(), list(learned.values()), allow_unused=True)
    return parts, [None if each is None else each + 0.0 for each in gradients]  # no zero below 0


@cache
def _plain_model(name: str, names: tuple[str, ...], imgsz: int) -> Any:
    from lehr.models.build import build_model

    return build_model(name, names, imgsz, width=0.125, depth=0.33).eval()


@cache
def _prediction(name: str, names: tuple[str, ...], imgsz: int) -> Any:
    """Predictions of the model, which no loss changes."""
    with torch.no_grad():
        return _plain_model(name, names, imgsz)(_some_pixels(imgsz))


def _some_pixels(imgsz: int) -> torch.Tensor:
    return torch.rand((2, 3, imgsz, imgsz), generator=torch.Generator().manual_seed(0))

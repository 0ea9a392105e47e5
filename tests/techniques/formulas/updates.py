"""Pages of the section "The course of a run" that are about optimizer steps."""

from __future__ import annotations

import csv
import math

import numpy as np
import torch
from tests.pages import PAGES
from tests.techniques.formulas.check import INPUTS, Checks, Draw, Formula, Values, each, real, whole
from torch import nn

from lehr.config import build_config
from lehr.models.detection import DetectionModel
from lehr.models.yolov3 import YOLOv3
from lehr.models.yolov5 import YOLOv5
from lehr.models.yolov8 import YOLOv8
from lehr.options import ScheduleOptions
from lehr.techniques import ema, ema_decay, plan, warmup
from lehr.techniques.accumulation import accumulation, scaled_weight_decay
from lehr.techniques.auto import (
    MIN_UPDATES,
    NOMINAL_BATCH,
    TRAINED_LR0_MULT,
    choose_optimizer,
    default_rate,
    nominal_batch_for,
    published_iterations,
    start_lr0_mult,
)
from lehr.techniques.clipping import clip_gradients


def batches_and_nominal(rng: np.random.Generator) -> dict[str, Values]:
    return {"nominal": whole(rng, 1, 256), "batch": whole(rng, 1, 256)}


def run_of_64(rng: np.random.Generator) -> dict[str, Values]:
    """Runs with batches below the nominal one."""
    sizes = {"images": whole(rng, 64, 9000), "epochs": whole(rng, 1, 60), "batch": whole(rng, 1, NOMINAL_BATCH - 1)}
    return {**sizes, "nominal": np.full((INPUTS, 1), float(NOMINAL_BATCH))}


def is_short(images: int, epochs: int, batch: int, nominal: int) -> bool:
    """Whether the nominal batch is halved."""
    return nominal_batch_for(math.ceil(images / batch) * epochs, batch) < nominal


SHORT = Formula(each(is_short), run_of_64)


def shrunk_weight(lr: float, decay: float) -> float:
    """How much of a weight a step of AdamW without gradient takes away."""
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    torch.optim.AdamW([weight], lr=lr, weight_decay=decay).step()
    return 1 - float(weight)


def averaged(d: Values, average: Values, weights: Values) -> Values:
    """The average after an update with a decay that has long risen."""
    model = nn.Linear(INPUTS, 1, bias=False).double()
    keeper = ema.ModelEma(model, decay=float(d[0, 0]), tau=1e-3)
    with torch.no_grad():
        keeper._average[0].copy_(torch.as_tensor(average).view(1, -1))
        model.weight.copy_(torch.as_tensor(weights).view(1, -1))
    keeper.update()
    return keeper._average[0].numpy().reshape(INPUTS, 1)


def steps(*names: str) -> Draw:
    """Draws a step s of a warmup of W steps, or after it, in a run of S."""

    def draw(rng: np.random.Generator) -> dict[str, Values]:
        length = whole(rng, 1, 500)
        total = length + whole(rng, 2, 5000)
        values = {"W": length, "S": total, "start": real(rng, 0, 1), "end": real(rng, 0, 1)}
        values["s"] = np.floor(real(rng, length, total)) if "S" in names else np.floor(real(rng, 0, length))
        return {name: values[name] for name in names}

    return draw


def value_on_line(s: int, W: int, start: float, end: float) -> float:
    return warmup.ramp(s, W, start, end)


def published_decay(row: dict[str, str]) -> float:
    return ema_decay.ema_decay(int(row["updates"]), 0.9999, ema_decay.PUBLISHED_TAU)


def span_of_auto(updates: int = 3000) -> int:
    """Updates that the average spans at the end of a run, with `--ema-tau auto`."""
    return round(1 / (1 - ema_decay.ema_decay(updates, 0.9999, ema_decay.resolve_tau("auto", updates))))


def clip_factor(c: float, norm: float) -> float:
    """Multiple of a gradient of a norm."""
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    parameter.grad = torch.full((1,), norm, dtype=torch.float64)
    clip_gradients([parameter], c)
    return float(parameter.grad) / norm


def total_norm(g: list[float]) -> float:
    parameters = [nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in g]
    for parameter, value in zip(parameters, g, strict=True):
        parameter.grad = torch.full((1,), value, dtype=torch.float64)
    return float(clip_gradients(parameters, 0.0))


def norms(model: str) -> list[float]:
    """Norms of the gradients that the plot of clipping shows."""
    with (PAGES / "figures" / "gradient_norms.csv").open(encoding="utf-8") as file:
        return [float(row["norm"]) for row in csv.DictReader(file) if row["model"] == model]


def recorded(model: str) -> tuple[int, int, int, int]:
    """Recorded steps that the bound clips, all of them, the smallest norm and the largest."""
    clipped = [norm > ScheduleOptions().clip_norm for norm in norms(model)]
    return sum(clipped), len(clipped), round(min(norms(model))), round(max(norms(model)))


def recorded_apart(model: str, count: int) -> tuple[int, int, int]:
    """Of the first steps those that the bound clips, their count, and those that it clips after them."""
    clipped = [norm > ScheduleOptions().clip_norm for norm in norms(model)]
    return sum(clipped[:count]), count, sum(clipped[count:])


def backbone_rate(multiple: float, rate: float) -> float:
    return plan.Rates(rate, rate, rate, 0.9, 1, backbone=multiple).by_group().get("backbone", rate)


def last_layer(*models: type[DetectionModel]) -> int:
    """Number of the backbone's last layer in models, which have it in common."""
    (count,) = {model.backbone_layers for model in models}
    return count - 1


COURSE = "tests/techniques/test_course_pages.py"
CHECKS: dict[str, Checks] = {
    "accumulation": Checks(
        formulas={
            "accumulate": Formula(each(lambda nominal, batch: accumulation(batch, nominal)), batches_and_nominal),
            "scaled": Formula(
                each(lambda nominal, batch, decay: scaled_weight_decay(decay, batch, nominal)),
                lambda rng: {**batches_and_nominal(rng), "decay": real(rng, 0, 0.1)},
            ),
            "short": SHORT,
        },
        figures={
            "the nominal batch of {}": NOMINAL_BATCH,
            "accumulating to {} would": NOMINAL_BATCH,
            "up to {} images:": NOMINAL_BATCH,
            "the nominal batch is {}, halved": NOMINAL_BATCH,
        },
        elsewhere={
            "1.125 times as much with batches of 24, of which three make 72 images": COURSE,
            "batches of 128 have twice the decay": COURSE,
        },
    ),
    "clipping": Checks(
        formulas={
            "factor": Formula(each(clip_factor), lambda rng: {"c": real(rng, 1, 20), "norm": real(rng, 0.1, 100)}),
            "norm": Formula(each(total_norm), lambda rng: {"g": real(rng, -20, 20, several=4)}),
        },
        figures={
            "; {} turns it off": 0,
            "YOLOv8n is clipped in {} of {} steps, with norms of {} to {}": recorded("yolov8n"),
            "YOLOv5n in {} of the first {}, and in {} after them": recorded_apart("yolov5n", 30),
        },
    ),
    "layer-wise-rates": Checks(
        formulas={
            "backbone": Formula(
                each(backbone_rate), lambda rng: {"multiple": real(rng, 1e-3, 2), "rate": real(rng, 1e-6, 0.1)}
            )
        },
        figures={
            "layers 0 to {} of YOLOv8 and YOLOv5": last_layer(YOLOv8, YOLOv5),
            "layers 0 to {} of YOLOv3-SPP": last_layer(YOLOv3),
            "; {} turns it off": 1,
        },
    ),
    "ema": Checks(
        formulas={
            "average": Formula(
                averaged,
                lambda rng: {
                    "d": np.full((INPUTS, 1), 0.93),
                    "average": real(rng, -1, 1),
                    "weights": real(rng, -1, 1),
                },
            ),
            "d": Formula(
                each(ema_decay.ema_decay),
                lambda rng: {"decay": real(rng, 0, 1), "updates": whole(rng, 1, 9999), "tau": real(rng, 1, 3000)},
            ),
            "span": Formula(lambda d: 1 / (1 - d), lambda rng: {"d": real(rng, 0, 0.9999)}),
            "tau_auto": Formula(
                each(lambda updates: ema_decay.resolve_tau("auto", updates)),
                lambda rng: {"updates": whole(rng, 1, 30_000)},
            ),
        },
        figures={
            "from {} updates on that is the published value": round(
                ema_decay.PUBLISHED_TAU * math.log(ema_decay.FINAL_SPAN)
            ),
            "spans about {} updates at the end": span_of_auto(),
        },
        tables={
            "updates": lambda row: {
                "decay `d`": published_decay(dict(row)),
                "updates that the average spans": 1 / (1 - published_decay(dict(row))),
            }
        },
    ),
    "optimizers": Checks(
        formulas={
            "iterations": Formula(
                each(published_iterations),
                lambda rng: {"images": whole(rng, 1, 99_999), "batch": whole(rng, 1, 256), "epochs": whole(rng, 1, 9)},
            ),
            "rate": Formula(
                each(lambda classes: default_rate("AdamW", classes)), lambda rng: {"classes": whole(rng, 1, 400)}
            ),
            "short": SHORT,
            "anew": Formula(
                each(lambda updates: start_lr0_mult(0.0, updates)), lambda rng: {"updates": whole(rng, 1, 1_000)}
            ),
            "shrink": Formula(
                each(shrunk_weight), lambda rng: {"lr": real(rng, 1e-5, 0.1), "decay": real(rng, 1e-4, 0.1)}
            ),
        },
        figures={
            "fewer than {} optimizer steps": MIN_UPDATES,
            "accumulate to {} images in every run": NOMINAL_BATCH,
            "momentum (beta1) is {}.": choose_optimizer("Adam", classes=5, images=1, epochs=1).momentum,
            "takes {} times its rate": TRAINED_LR0_MULT,
            "starts with a rate of {}.": build_config({"data": "shapes"}).schedule.lr0,
        },
        elsewhere={
            "| `--optimizer auto`": COURSE,
            "| images": COURSE,
            "for 5 classes, 1,600 steps under the linear schedule take away 0.05% in all": COURSE,
            "would take away 4.5%": COURSE,
        },
    ),
    "warmup": Checks(
        formulas={
            "W": Formula(
                each(warmup.warmup_steps),
                lambda rng: {"warmup_epochs": real(rng, 0.01, 9), "batches": whole(rng, 1, 300)},
            ),
            "W_first": Formula(each(warmup.first_epoch_steps), lambda rng: {"batches": whole(rng, 1, 3000)}),
            "W_unset": Formula(
                each(lambda batches, epochs: plan._warmup(ScheduleOptions(), batches, epochs)),
                lambda rng: {"batches": whole(rng, 1, 300), "epochs": whole(rng, 1, 60)},
            ),
            "W_trained": Formula(
                each(lambda batches, epochs: plan._warmup(ScheduleOptions(), batches, epochs, known=True)),
                lambda rng: {"batches": whole(rng, 1, 300), "epochs": whole(rng, 1, 60)},
            ),
            "W_anew": Formula(
                each(lambda batches, epochs: plan._warmup(ScheduleOptions(), batches, epochs, anew=True)),
                lambda rng: {"batches": whole(rng, 1, 30), "epochs": whole(rng, 1, 12)},
            ),
            "value": Formula(each(value_on_line), steps("s", "W", "start", "end")),
            "rise": Formula(each(lambda s, W: warmup.constant_warmup(s, W)), steps("s", "W")),
            "fall": Formula(each(lambda s, W, S: warmup.linear_warmup(s, W, S)), steps("s", "W", "S")),
            "wave": Formula(each(lambda s, W, S: warmup.cosine_warmup(s, W, S)), steps("s", "W", "S")),
            "factor": Formula(
                each(lambda s, W_first: warmup.first_epoch_warmup(s, W_first)),
                lambda rng: {"W_first": steps("s", "W")(rng)["W"] + 500, "s": whole(rng, 0, 400)},
            ),
        },
        figures={
            "which starts it at {};": choose_optimizer("SGD", classes=5, images=1, epochs=1).warmup_bias_lr,
            "steps: {} epochs, but": plan.WARMUP_EPOCHS,
        },
    ),
}

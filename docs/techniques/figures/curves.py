"""Draws the curves of the techniques that shape the course of a training; NAMEs choose among them.

Each picture calls the technique's own code, so that it shows what the code does.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lehr.models.build import build_model
from lehr.plots.figure import legend, logarithmic, new_figure, save_figure, set_title, styled
from lehr.plots.style import COLOURS, GREY, INK, PALE, SMALL_DOT
from lehr.techniques.accumulation import accumulation
from lehr.techniques.auto import OptimizerChoice, choose_optimizer
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.freezing import frozen_prefixes
from lehr.techniques.multi_scale import range_around, range_of_cells
from lehr.techniques.non_finite import step_if_finite
from lehr.techniques.optimizer import build_optimizer
from lehr.weights.transfer import take_fitting_weights
from lehr.weights.write import save_weights

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


def optimizers() -> None:
    figure, (axis,) = new_figure(1, 1, width=7, height=4.6)
    xs, ys = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-1.2, 1.4, 200))
    axis.contour(xs, ys, np.log(0.05 * xs**2 + 2 * (ys - 0.3 * np.sin(2 * xs)) ** 2 + 0.003), 14, colors=PALE)
    for name in ("SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"):
        model = torch.nn.Linear(2, 1, bias=False)
        torch.nn.init.constant_(model.weight, 0)
        with torch.no_grad():
            model.weight[0] = torch.tensor([-1.8, 1.2])
        choice = OptimizerChoice(name, 0.02 if name in ("SGD", "RMSProp") else 0.08, 0.9 if name != "RMSProp" else 0, 0)
        optimizer = build_optimizer(model, choice, 0.0)
        path = []
        for _ in range(120):
            x, y = model.weight[0]
            path.append((x.item(), y.item()))
            loss = 0.05 * x**2 + 2 * (y - 0.3 * torch.sin(2 * x)) ** 2
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        axis.plot(*np.array(path).T, label=name, linewidth=1.5)
    axis.plot(0, 0, "*", color=INK, markersize=12)
    legend(axis)
    set_title(axis, "120 steps of each optimizer down a curved valley")
    save_figure(figure, HERE / "optimizers.svg")


def accumulated() -> None:
    figure, (updates, batches) = new_figure(1, 2, height=3.2)
    images = np.unique(np.logspace(2, 5, 60).astype(int))
    always, auto, nominal = [], [], []
    for count in images:
        iterations = -(-int(count) // 16) * 40
        always.append(iterations / accumulation(16, 64))
        chosen = choose_optimizer("auto", classes=3, images=int(count), epochs=40, batch=16).nominal_batch
        auto.append(iterations / accumulation(16, chosen))
        nominal.append(chosen)
    updates.plot(images, always, label="nominal batch 64")
    updates.plot(images, auto, label="auto")
    logarithmic(updates, "both")
    updates.set(xlabel="training images", ylabel="optimizer steps in 40 epochs")
    legend(updates)
    batches.step(images, nominal, where="post", color=COLOURS[1])
    batches.set(xlabel="training images", ylabel="nominal batch of auto", ylim=(0, 70))
    logarithmic(batches, "x")
    save_figure(figure, HERE / "accumulation.svg")


def clipping() -> None:
    with (HERE / "gradient_norms.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure, axes = new_figure(1, 2, height=3.2)
    for axis, model in zip(axes, dict.fromkeys(row["model"] for row in rows), strict=True):
        norms = [float(row["norm"]) for row in rows if row["model"] == model]
        after = []
        for norm in norms:
            parameter = torch.nn.Parameter(torch.zeros(4))
            parameter.grad = torch.full((4,), norm / 2)
            clip_gradients([parameter], 10.0)
            after.append(float(parameter.grad.norm()))
        steps = range(1, len(norms) + 1)
        axis.plot(steps, norms, ".", markersize=SMALL_DOT, color=GREY, label="norm of the gradient")
        axis.plot(steps, after, ".", markersize=SMALL_DOT, color=COLOURS[0], label="after clipping at 10")
        axis.axhline(10, color=COLOURS[1], linewidth=1, linestyle=":")
        axis.set(xlabel="optimizer step", ylabel="norm", ylim=(1, 2000))
        logarithmic(axis, "y")
        set_title(axis, model)
        legend(axis)
    save_figure(figure, HERE / "clipping.svg")


def non_finite_steps() -> None:
    """A steep valley, descended with a rate that is too high until two returns have made it lower."""
    figure, (loss_axis, rate_axis) = new_figure(1, 2, height=3.2)
    weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = torch.optim.SGD([weight], lr=1.4)
    kept, streak, losses, rates, left_out, returns = weight.detach().clone(), 0, [], [], [], []
    for step in range(30):
        loss = (weight**4).sum() + 0.1 * (weight**2).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        finite = loss.isfinite() & clip_gradients([weight], 0.0).isfinite()
        streak = 0 if step_if_finite(optimizer, finite) else streak + 1
        losses.append(float(loss.detach()))
        rates.append(optimizer.param_groups[0]["lr"])
        if streak:
            left_out.append(step)
        if streak == 3:
            with torch.no_grad():
                weight.copy_(kept)
            optimizer.param_groups[0]["lr"] *= 0.5
            streak = 0
            returns.append(step)
    steps = np.arange(len(losses))
    whole = np.where(np.isin(steps, left_out), np.nan, losses)
    loss_axis.semilogy(steps, whole, ".-", label="loss")
    loss_axis.plot(left_out, [1e38] * len(left_out), "x", color=COLOURS[1], label="not finite: step skipped")
    for axis in (loss_axis, rate_axis):
        for number, step in enumerate(returns):
            label = "back to the checkpoint" if number == 0 and axis is loss_axis else None
            axis.axvline(step + 0.5, color=GREY, linestyle=":", label=label)
    loss_axis.set(xlabel="step", ylabel="loss")
    legend(loss_axis)
    rate_axis.step(steps, rates, where="mid")
    rate_axis.set(xlabel="step", ylabel="learning rate", ylim=(0, 1.5))
    save_figure(figure, HERE / "non-finite-steps.svg")


def multi_scale() -> None:
    figure, (drawn, counts) = new_figure(1, 2, height=3.2)
    around, cells = range_around(640, 0.5), range_of_cells(10, 19)
    for label, sizes in (("--multi-scale 0.5", around), ("--grid-min 10 --grid-max 19", cells)):
        steps = [sizes.draw(0, 0, step) for step in range(80)]
        drawn.step(range(80), steps, where="post", linewidth=1, label=label)
        many = [sizes.draw(0, epoch, step) for epoch in range(40) for step in range(50)]
        values, times = np.unique(many, return_counts=True)
        counts.plot(values, times / len(many), "o-", markersize=SMALL_DOT, label=label)
    drawn.set(xlabel="step", ylabel="image size, pixels")
    counts.set(xlabel="image size, pixels", ylabel="share of the steps", ylim=(0, None))
    legend(figure)
    save_figure(figure, HERE / "multi-scale.svg")


def layers() -> None:
    model = build_model("yolov5n", ("a", "b", "c"))
    sizes = [sum(p.numel() for p in layer.parameters()) / 1e3 for layer in model.model]
    figure, (axis,) = new_figure(1, 1, width=8, height=3)
    frozen = {int(prefix.split(".")[1]) for prefix in frozen_prefixes(model, "10")}
    colours = [COLOURS[0] if number in frozen else COLOURS[1] for number in range(len(sizes))]
    axis.bar(range(len(sizes)), sizes, color=colours)
    axis.bar(0, 0, color=COLOURS[0], label="frozen by --freeze 10")
    axis.bar(0, 0, color=COLOURS[1], label="trained")
    axis.set(xlabel="layer of yolov5n", ylabel="thousand parameters")
    legend(axis)
    save_figure(figure, HERE / "freezing.svg")

    other = build_model("yolov5n", tuple(f"class {number}" for number in range(80)))
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        for value in other.state_dict().values():
            value.fill_(7)  # no number of a random start
        save_weights(other, Path(folder) / "w.safetensors")
        take_fitting_weights(model, Path(folder) / "w.safetensors")
    tensors = [layer.state_dict().values() for layer in model.model]
    taken = [sum(int((values == 7).sum()) for values in layer) / 1e3 for layer in tensors]
    fresh = [sum(int((values != 7).sum()) for values in layer) / 1e3 for layer in tensors]
    figure, (axis,) = new_figure(1, 1, width=8, height=3)
    axis.bar(range(len(sizes)), taken, color=COLOURS[0], label="taken from weights of 80 classes")
    axis.bar(range(len(sizes)), fresh, bottom=taken, color=COLOURS[1], label="starts random: rows of 3 other classes")
    axis.set(xlabel="layer of yolov5n", ylabel="thousand numbers")
    legend(axis)
    save_figure(figure, HERE / "pretrained-start.svg")


PICTURES: dict[str, Callable[[], None]] = {
    "optimizers": optimizers,
    "accumulation": accumulated,
    "clipping": clipping,
    "non-finite-steps": non_finite_steps,
    "multi-scale": multi_scale,
    "freezing": layers,
    "pretrained-start": layers,
}

if __name__ == "__main__":
    for function in dict.fromkeys(PICTURES[name] for name in sys.argv[1:] or PICTURES):
        with styled():
            function()

"""Draws the pictures of the techniques that are curves: `python docs/techniques/pictures/curves.py [NAME ...]`.

Each picture calls the technique's own code, so that it shows what the code does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lehr.losses.bce import BinaryLoss
from lehr.losses.iou import ciou
from lehr.losses.label_smoothing import smoothed
from lehr.losses.task_aligned import distribution_focal_loss
from lehr.models.blocks import Conv
from lehr.models.build import build_model
from lehr.plots.figure import COLOURS, new_figure, save_figure
from lehr.techniques.accumulation import accumulation
from lehr.techniques.auto import OptimizerChoice, choose_optimizer
from lehr.techniques.autobatch import Measured, fitting_nominal, largest_fitting, memory_line
from lehr.techniques.class_weights import class_weights
from lehr.techniques.clipping import clip_gradients
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.freezing import frozen_prefixes
from lehr.techniques.frequency_bias import class_shares
from lehr.techniques.multi_scale import range_around, range_of_cells
from lehr.techniques.non_finite import step_if_finite
from lehr.techniques.optimizer import build_optimizer
from lehr.techniques.precision import Precision

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


def optimizers() -> None:
    figure, (axis,) = new_figure(1, 1, width=7, height=4)
    xs, ys = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-1.2, 1.4, 200))
    axis.contour(xs, ys, np.log(0.05 * xs**2 + 2 * (ys - 0.3 * np.sin(2 * xs)) ** 2 + 0.003), 14, colors="#d1d5db")
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
    axis.plot(0, 0, "k*", markersize=10)
    axis.legend(frameon=False, ncols=3)
    axis.set_title("120 steps of each optimizer down a curved valley", fontsize=10)
    save_figure(figure, HERE / "optimizers.svg")


def accumulated() -> None:
    figure, (updates, batches) = new_figure(1, 2, height=3.2)
    images = np.unique(np.logspace(2, 5, 60).astype(int))
    always, auto, nominal = [], [], []
    for count in images:
        iterations = -(-int(count) // 16) * 40
        always.append(iterations / accumulation(16, 64))
        chosen = choose_optimizer("auto", classes=3, iterations=iterations, batch=16).nominal_batch
        auto.append(iterations / accumulation(16, chosen))
        nominal.append(chosen)
    updates.loglog(images, always, label="nominal batch 64")
    updates.loglog(images, auto, label="auto")
    updates.set(xlabel="training images", ylabel="optimizer steps in 40 epochs")
    updates.legend(frameon=False)
    batches.step(images, nominal, where="post", color=COLOURS[1])
    batches.set(xlabel="training images", ylabel="nominal batch of auto", xscale="log", ylim=(0, 70))
    save_figure(figure, HERE / "accumulation.svg")


def clipping() -> None:
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    norms = np.exp(RNG.normal(1.3, 1.0, 120))
    after = []
    for norm in norms:
        parameter = torch.nn.Parameter(torch.zeros(4))
        parameter.grad = torch.full((4,), float(norm) / 2)
        clip_gradients([parameter], 10.0)
        after.append(float(parameter.grad.norm()))
    axis.plot(norms, ".", color="#9ca3af", label="norm of the gradient")
    axis.plot(after, ".", color=COLOURS[0], label="after clipping at 10")
    axis.axhline(10, color=COLOURS[1], linewidth=1, linestyle=":")
    axis.set(xlabel="optimizer step", ylabel="norm")
    axis.legend(frameon=False)
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
    loss_axis.plot(left_out, [1e38] * len(left_out), "x", color=COLOURS[1], label="not finite: step left out")
    for axis in (loss_axis, rate_axis):
        for number, step in enumerate(returns):
            label = "back to the checkpoint" if number == 0 and axis is loss_axis else None
            axis.axvline(step + 0.5, color="#9ca3af", linestyle=":", label=label)
    loss_axis.set(xlabel="step", ylabel="loss")
    loss_axis.legend(frameon=False, loc="center right")
    rate_axis.step(steps, rates, where="mid")
    rate_axis.set(xlabel="step", ylabel="learning rate", ylim=(0, 1.5))
    save_figure(figure, HERE / "non-finite-steps.svg")


def ema() -> None:
    figure, (decay, value) = new_figure(1, 2, height=3.2)
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    average = ModelEma(model, 0.9999, 2000)
    updates = np.arange(1, 12_001)
    decay.plot(updates, [average.decay_at(int(update)) for update in updates])
    decay.set(xlabel="update", ylabel="decay", ylim=(0, 1.02))
    weights, averages = [], []
    for update in range(4000):
        target = 1 - np.exp(-update / 600)
        with torch.no_grad():
            model.weight.fill_(target + RNG.normal(0, 0.12))
        average.update()
        weights.append(model.weight.item())
        averages.append(average.model.weight.item())
    value.plot(weights[::4], color="#d1d5db", linewidth=0.7, label="weight")
    value.plot(averages[::4], color=COLOURS[1], label="average")
    value.set_xticks([0, 250, 500, 750, 1000], ["0", "1000", "2000", "3000", "4000"])
    value.set(xlabel="update")
    value.legend(frameon=False)
    save_figure(figure, HERE / "ema.svg")


def early_stopping() -> None:
    figure, (axis,) = new_figure(1, 1, width=7, height=3)
    epochs = np.arange(200)
    fitness = 0.6 * (1 - np.exp(-epochs / 18)) - 0.0006 * epochs + RNG.normal(0, 0.008, 200)
    stopping = EarlyStopping(patience=30)
    for epoch in epochs:
        stopping.update(int(epoch), float(fitness[epoch]))
        if stopping.should_stop(int(epoch)):
            break
    axis.plot(epochs, fitness, color="#d1d5db", label="the rest, spared")
    axis.plot(epochs[: epoch + 1], fitness[: epoch + 1], color=COLOURS[0], label="trained")
    axis.plot(stopping.best_epoch, stopping.best, "o", color=COLOURS[1], label=f"best, epoch {stopping.best_epoch}")
    axis.axvline(epoch, color=COLOURS[3], linestyle=":", label=f"stopped, epoch {epoch} (patience 30)")
    axis.set(xlabel="epoch", ylabel="fitness")
    axis.legend(frameon=False)
    save_figure(figure, HERE / "early-stopping.svg")


def multi_scale() -> None:
    figure, (drawn, counts) = new_figure(1, 2, height=3.2)
    around, cells = range_around(640, 0.5), range_of_cells(10, 19)
    for label, sizes in (("--multi-scale 0.5", around), ("--grid-min 10 --grid-max 19", cells)):
        steps = [sizes.draw(0, 0, step) for step in range(80)]
        drawn.step(range(80), steps, where="post", linewidth=1, label=label)
        many = [sizes.draw(0, epoch, step) for epoch in range(40) for step in range(50)]
        values, times = np.unique(many, return_counts=True)
        counts.plot(values, times / len(many), "o-", markersize=3, label=label)
    drawn.set(xlabel="step", ylabel="image size, pixels")
    counts.set(xlabel="image size, pixels", ylabel="share of the steps", ylim=(0, None))
    counts.legend(frameon=False, fontsize=8)
    save_figure(figure, HERE / "multi-scale.svg")


def label_smoothing() -> None:
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    logits = torch.linspace(-3, 9, 300)
    for smoothing in (0.0, 0.05, 0.1, 0.2):
        targets = smoothed(torch.ones_like(logits), smoothing)
        loss = BinaryLoss()(logits, targets)
        axis.plot(logits.sigmoid(), loss - loss.min(), label=f"smoothing {smoothing:g}")
        axis.plot(float(logits[loss.argmin()].sigmoid()), 0, "o", markersize=4, color=axis.lines[-1].get_color())
    axis.set(
        xlabel="score given to the true class", ylabel="loss above its least", ylim=(-0.02, 0.6), xlim=(0.3, 1.005)
    )
    axis.legend(frameon=False)
    save_figure(figure, HERE / "label-smoothing.svg")


def focal_loss() -> None:
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    logits = torch.linspace(-5, 5, 300)
    for gamma in (0.0, 0.5, 1.5, 3.0):
        loss = BinaryLoss(gamma=gamma)(logits, torch.ones_like(logits))
        axis.plot(logits.sigmoid(), loss, label=f"gamma {gamma:g}" if gamma else "off")
    axis.set(xlabel="score given to the true class", ylabel="loss", yscale="log", ylim=(1e-6, 10))
    axis.legend(frameon=False)
    save_figure(figure, HERE / "focal-loss.svg")


def bars_of_classes() -> None:
    names, counts = ["common", "usual", "rare", "rarest"], [4155, 900, 372, 61]
    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    for place, power in enumerate((0.0, 0.5, 1.0)):
        weights = class_weights(counts, power)
        axis.bar(np.arange(4) + (place - 1) * 0.27, weights, 0.25, color=COLOURS[place], label=f"power {power:g}")
    axis.set_xticks(range(4), [f"{name}\n{count} objects" for name, count in zip(names, counts, strict=True)])
    axis.set(ylabel="weight in the loss", yscale="log")
    axis.legend(frameon=False)
    save_figure(figure, HERE / "class-weights.svg")

    figure, (axis,) = new_figure(1, 1, width=6, height=3)
    shares = class_shares(counts)
    alike = [0.6 / (4 - 0.99999)] * 4
    axis.bar(np.arange(4) - 0.2, alike, 0.38, color=COLOURS[0], label="all alike")
    axis.bar(np.arange(4) + 0.2, shares, 0.38, color=COLOURS[1], label="--frequency-bias")
    axis.set_xticks(range(4), [f"{name}\n{count} objects" for name, count in zip(names, counts, strict=True)])
    axis.set(ylabel="class probability before training")
    axis.legend(frameon=False)
    save_figure(figure, HERE / "frequency-bias.svg")


def image_weights_bars() -> None:
    from lehr.sample import Sample
    from lehr.techniques.image_weights import draw_images, image_weights

    def sample(*classes: int) -> Sample:
        boxes = np.tile(np.array([[0, 0, 8, 8]], np.float32), (len(classes), 1))
        return Sample(Path("a"), 64, 64, boxes, np.array(classes, np.int64))

    samples = [sample(*[0] * 8)] * 12 + [sample(0, 0, 0, 1)] * 5 + [sample(0, 0, 2)] * 2 + [sample()]
    figure, (axis,) = new_figure(1, 1, width=7, height=3)
    for place, (label, precision) in enumerate(
        (("before the first validation", (0.0, 0.0, 0.0)), ("the rarest is found well, AP 0.9", (0.8, 0.5, 0.9)))
    ):
        weights = image_weights(samples, precision)
        drawn = [i for epoch in range(200) for i in draw_images(weights, 0, epoch)]
        times = np.bincount(drawn, minlength=len(samples)) / 200
        axis.bar(np.arange(len(samples)) + (place - 0.5) * 0.4, times, 0.38, color=COLOURS[place], label=label)
    axis.axhline(1, color="#6b7280", linestyle=":", label="without image weights")
    axis.set_xticks([5.5, 14, 17.5, 19], ["8 common", "3 common,\n1 rare", "2 common,\n1 rarest", "none"])
    axis.set(ylabel="times an epoch")
    axis.legend(frameon=False)
    save_figure(figure, HERE / "image-weights.svg")


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
    axis.legend(frameon=False)
    save_figure(figure, HERE / "freezing.svg")

    other = build_model("yolov5n", tuple(f"{i}" for i in range(80))).state_dict()
    own = model.state_dict()
    taken = [0.0] * len(sizes)
    left = [0.0] * len(sizes)
    for name, value in own.items():
        number = int(name.split(".")[1])
        target = taken if other[name].shape == value.shape else left
        target[number] += value.numel() / 1e3
    figure, (axis,) = new_figure(1, 1, width=8, height=3)
    axis.bar(range(len(sizes)), taken, color=COLOURS[0], label="taken from weights of 80 classes")
    axis.bar(range(len(sizes)), left, bottom=taken, color=COLOURS[1], label="starts random: made for 3 classes")
    axis.set(xlabel="layer of yolov5n", ylabel="thousand numbers")
    axis.legend(frameon=False)
    save_figure(figure, HERE / "pretrained-start.svg")


def box_losses() -> None:
    figure, (overlap, bins) = new_figure(1, 2, height=3.2)
    true = torch.tensor([40.0, 40.0, 60.0, 60.0])
    shifts = torch.linspace(0, 60, 200)
    moved = true + torch.stack((shifts, torch.zeros_like(shifts), shifts, torch.zeros_like(shifts)), -1)
    inter = (20 - shifts).clamp(min=0) * 20
    overlap.plot(shifts, 1 - inter / (800 - inter), label="1 - IoU: flat once apart")
    overlap.plot(shifts, 1 - ciou(true, moved), label="1 - CIoU: still says where to go")
    overlap.set(xlabel="pixels that a box of 20 is off", ylabel="loss")
    overlap.legend(frameon=False)
    distances = torch.linspace(0, 8, 200)
    for low, share in ((3, 0.25), (3, 0.5)):
        logits = torch.full((1, 4, 16), -6.0)
        logits[..., low], logits[..., low + 1] = np.log(1 - share), np.log(share)
        loss = [float(distribution_focal_loss(logits, distance.repeat(1, 4))) for distance in distances]
        bins.plot(distances, loss, label=f"bins 3 and 4 with {1 - share:g} and {share:g}")
    bins.set(xlabel="true distance, strides", ylabel="distribution focal loss")
    bins.legend(frameon=False)
    save_figure(figure, HERE / "box-losses.svg")


def mixed_precision() -> None:
    figure, (axis,) = new_figure(1, 1, width=7, height=3.2)
    sizes = torch.logspace(-9, 6, 4001, dtype=torch.float64)
    for precision, colour in ((Precision.BFLOAT16, COLOURS[0]), (Precision.FLOAT16, COLOURS[1])):
        rounded = sizes.to(precision.dtype).double()
        error = ((rounded - sizes).abs() / sizes).reshape(-1)
        steps = torch.nn.functional.max_pool1d(error.clamp(max=1).view(1, 1, -1), 41, 1, 20).flatten()
        axis.loglog(sizes, steps, color=colour, label=precision, linewidth=1.5)
    axis.axvline(torch.finfo(torch.float16).max, color="#9ca3af", linestyle="--", linewidth=1)
    axis.set_xlabel("size of a number")
    axis.set_ylabel("largest relative error")
    axis.set_ylim(1e-4, 1.6)
    axis.legend(frameon=False)
    axis.set_title("float16 is finer, bfloat16 reaches everywhere", fontsize=10)
    save_figure(figure, HERE / "mixed-precision.svg")


def autobatch() -> None:
    figure, (axis,) = new_figure(1, 1, width=7, height=3.2)
    noise = RNG.normal(0, 0.05, 5)
    measured = [
        Measured(n, int((1.4 + 0.41 * n + e) * 2**30), 1.0) for n, e in zip((1, 2, 4, 8, 16), noise, strict=True)
    ]
    budget = 0.6 * 24 * 2**30
    base, each = memory_line(measured)
    most = largest_fitting(measured, budget)
    chosen = fitting_nominal(most, 64)
    xs = np.array([0, most * 1.25])
    axis.plot(xs, (base + each * xs) / 2**30, color=COLOURS[0], label="the line through them")
    axis.plot([one.batch for one in measured], [one.bytes / 2**30 for one in measured], "o", label="measured")
    axis.axhline(budget / 2**30, color="#9ca3af", linestyle="--", label="60% of 24 GiB")
    axis.plot(most, (base + each * most) / 2**30, "s", color=COLOURS[2], markersize=10, label=f"{most} fit")
    mark = (base + each * chosen) / 2**30
    axis.plot(chosen, mark, "D", color=COLOURS[1], label=f"{chosen} are taken: two make about 64")
    axis.set_xlabel("images a step")
    axis.set_ylabel("memory, GiB")
    axis.legend(frameon=False)
    save_figure(figure, HERE / "autobatch.svg")


def compiled_steps() -> None:
    """The kernels that one block's forward makes, counted."""
    block = Conv(16, 16, 3).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn(4, 16, 32, 32).contiguous(memory_format=torch.channels_last)
    seen: dict[str, int] = {}
    with torch.no_grad():
        with torch.profiler.profile() as plain:
            block(block(image))
        torch._inductor.metrics.reset()
        torch.compile(lambda x: block(block(x)), fullgraph=True)(image)
    names = {
        "aten::convolution": "convolution",
        "aten::native_batch_norm": "normalization",
        "aten::silu": "SiLU",
    }
    for event in plain.key_averages():
        if event.key in names:
            seen[names[event.key]] = event.count
    kernels = torch._inductor.metrics.generated_kernel_count
    figure, (axis,) = new_figure(1, 1, width=7, height=2.6)
    left = 0
    for place, (name, count) in enumerate(seen.items()):
        axis.barh(1, count, left=left, color=COLOURS[place], edgecolor="white", label=name)
        left += count
    axis.barh(0, seen["convolution"], color=COLOURS[0], edgecolor="white")
    axis.barh(0, kernels, left=seen["convolution"], color=COLOURS[4], edgecolor="white", label="fused")
    axis.set_yticks([0, 1], ["compiled", "one by one"])
    axis.set_xlabel("passes over the features, two blocks")
    axis.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.25))
    save_figure(figure, HERE / "compiled-steps.svg")


def sync_batch_norm() -> None:
    """Means that a layer takes, of channels whose images differ as scenes do, and values within an image a little."""
    figure, (steps, spread) = new_figure(1, 2, height=3.2)
    processes = 4

    def means(images: int, count: int) -> np.ndarray:  # (count, processes)
        scenes = RNG.normal(size=(count, processes, images))
        return (scenes + RNG.normal(size=scenes.shape) / 20).mean(2)

    own = means(2, 60)
    steps.plot(own, color="#d1d5db", linewidth=0.9)
    steps.plot([], [], color="#d1d5db", label="each of 4 processes, 2 images")
    steps.plot(own.mean(1), color=COLOURS[1], label="all of them, 8 images")
    steps.set(xlabel="step", ylabel="mean of the batch", ylim=(-2.6, 3.4))
    steps.legend(frameon=False, loc="upper left")
    counts = (1, 2, 4, 8, 16, 32)
    drawn = [means(count, 2000) for count in counts]
    spread.loglog(counts, [each.std() for each in drawn], "o-", color="#9ca3af", label="own images")
    spread.loglog(counts, [each.mean(1).std() for each in drawn], "o-", color=COLOURS[1], label="--sync-bn")
    spread.set_xticks(counts, [str(count) for count in counts])
    spread.minorticks_off()
    spread.set(xlabel="images a process, of 4 processes", ylabel="spread of the mean over the steps")
    spread.legend(frameon=False)
    save_figure(figure, HERE / "sync-batch-norm.svg")


PICTURES: dict[str, Callable[[], None]] = {
    "optimizers": optimizers,
    "accumulation": accumulated,
    "clipping": clipping,
    "non-finite-steps": non_finite_steps,
    "ema": ema,
    "early-stopping": early_stopping,
    "multi-scale": multi_scale,
    "sync-batch-norm": sync_batch_norm,
    "label-smoothing": label_smoothing,
    "focal-loss": focal_loss,
    "class-weights": bars_of_classes,
    "frequency-bias": bars_of_classes,
    "image-weights": image_weights_bars,
    "freezing": layers,
    "pretrained-start": layers,
    "box-losses": box_losses,
    "mixed-precision": mixed_precision,
    "autobatch": autobatch,
    "compiled-steps": compiled_steps,
}

if __name__ == "__main__":
    for function in dict.fromkeys(PICTURES[name] for name in sys.argv[1:] or PICTURES):
        function()

"""Draws the curves of the techniques that make a step fast, or fit it to the device; NAMEs choose among them.

Each picture calls the technique's own code, so that it shows what the code does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch._inductor import metrics

from lehr.engine.step_graphs import padded_count
from lehr.models.blocks import Conv
from lehr.plots.figure import legend, logarithmic, new_figure, save_figure, set_title, styled
from lehr.plots.style import COLOURS, GREY, PALE
from lehr.techniques.autobatch import Measured, fitting_nominal, largest_fitting, memory_line
from lehr.techniques.precision import Precision

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)


def mixed_precision() -> None:
    figure, (axis,) = new_figure(1, 1, width=7, height=3.2)
    sizes = torch.logspace(-9, 6, 4001, dtype=torch.float64)
    for precision, colour in ((Precision.BFLOAT16, COLOURS[0]), (Precision.FLOAT16, COLOURS[1])):
        rounded = sizes.to(precision.dtype).double()
        error = ((rounded - sizes).abs() / sizes).reshape(-1)
        steps = torch.nn.functional.max_pool1d(error.clamp(max=1).view(1, 1, -1), 41, 1, 20).flatten()
        axis.plot(sizes, steps, color=colour, label=precision, linewidth=1.5)
    axis.axvline(torch.finfo(torch.float16).max, color=GREY, linestyle="--", linewidth=1)
    logarithmic(axis, "both")
    axis.set_xlabel("magnitude of a number")
    axis.set_ylabel("largest relative error")
    axis.set_ylim(1e-4, 1.6)
    legend(axis)
    set_title(axis, "float16 is finer, bfloat16 reaches everywhere")
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
    axis.axhline(budget / 2**30, color=GREY, linestyle="--", label="60% of 24 GiB")
    axis.plot(most, (base + each * most) / 2**30, "s", color=COLOURS[2], markersize=10, label=f"{most} fit")
    mark = (base + each * chosen) / 2**30
    axis.plot(chosen, mark, "D", color=COLOURS[1], label=f"{chosen} are chosen: two batches make about 64")
    axis.set_xlabel("images per step")
    axis.set_ylabel("memory, GiB")
    legend(axis)
    save_figure(figure, HERE / "autobatch.svg")


def compiled_steps() -> None:
    """The kernels that one block's forward makes, counted."""
    block = Conv(16, 16, 3).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn(4, 16, 32, 32).contiguous(memory_format=torch.channels_last)
    seen: dict[str, int] = {}
    with torch.no_grad():
        with torch.profiler.profile() as plain:
            block(block(image))
        metrics.reset()
        torch.compile(lambda x: block(block(x)), fullgraph=True)(image)
    names = {
        "aten::convolution": "convolution",
        "aten::native_batch_norm": "normalization",
        "aten::silu": "SiLU",
    }
    for event in plain.key_averages():
        if event.key in names:
            seen[names[event.key]] = event.count
    kernels = metrics.generated_kernel_count
    figure, (axis,) = new_figure(1, 1, width=7, height=2.6)
    left = 0
    for place, (name, count) in enumerate(seen.items()):
        axis.barh(1, count, left=left, color=COLOURS[place], edgecolor="white", label=name)
        left += count
    axis.barh(0, seen["convolution"], color=COLOURS[0], edgecolor="white")
    axis.barh(0, kernels, left=seen["convolution"], color=COLOURS[4], edgecolor="white", label="fused")
    axis.set_yticks([0, 1], ["compiled", "one by one"])
    axis.set_xlabel("passes over the features, two blocks")
    legend(axis)
    save_figure(figure, HERE / "compiled-steps.svg")


def cuda_graphs() -> None:
    """Counts of objects that batches are padded to, of all counts up to 300."""
    counts = np.arange(1, 301)
    padded = np.array([padded_count(int(count)) for count in counts])
    figure, (axis,) = new_figure(1, 1, width=7, height=3)
    axis.plot(counts, counts, color=GREY, linestyle="--", linewidth=1, label="unpadded")
    axis.step(counts, padded, color=COLOURS[0], where="mid", label=f"padded: {len(set(padded))} counts, a graph each")
    axis.set(xlabel="objects in the fullest image of a batch", ylabel="objects after padding")
    legend(axis)
    save_figure(figure, HERE / "cuda-graphs.svg")


def sync_batch_norm() -> None:
    """Means that a layer takes, of channels whose images differ as scenes do, and values within an image a little."""
    figure, (steps, spread) = new_figure(1, 2, height=3.2)
    processes = 4

    def means(images: int, count: int) -> np.ndarray:  # (count, processes)
        scenes = RNG.normal(size=(count, processes, images))
        return (scenes + RNG.normal(size=scenes.shape) / 20).mean(2)

    own = means(2, 60)
    steps.plot(own, color=PALE, linewidth=0.9)
    steps.plot([], [], color=PALE, label="each of 4 processes, 2 images")
    steps.plot(own.mean(1), color=COLOURS[1], label="all of them, 8 images")
    steps.set(xlabel="step", ylabel="mean of the batch", ylim=(-2.6, 3.4))
    legend(steps)
    counts = (1, 2, 4, 8, 16, 32)
    drawn = [means(count, 2000) for count in counts]
    spread.plot(counts, [each.std() for each in drawn], "o-", color=GREY, label="own images")
    spread.plot(counts, [each.mean(1).std() for each in drawn], "o-", color=COLOURS[1], label="--sync-bn")
    logarithmic(spread, "both")
    spread.set_xticks(counts, [str(count) for count in counts])
    spread.minorticks_off()
    spread.set(xlabel="images per process (4 processes)", ylabel="spread of the mean")
    legend(spread)
    save_figure(figure, HERE / "sync-batch-norm.svg")


PICTURES: dict[str, Callable[[], None]] = {
    "mixed-precision": mixed_precision,
    "autobatch": autobatch,
    "compiled-steps": compiled_steps,
    "cuda-graphs": cuda_graphs,
    "sync-batch-norm": sync_batch_norm,
}

if __name__ == "__main__":
    for function in dict.fromkeys(PICTURES[name] for name in sys.argv[1:] or PICTURES):
        with styled():
            function()

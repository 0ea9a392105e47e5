"""Draws how often an epoch shows its images under what samples them; NAMEs choose among the pictures.

Each picture calls the technique's own code, so that it shows what the code does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.augment.partners import Partners
from lehr.data.requests import train_requests
from lehr.options import DataOptions
from lehr.plots.figure import legend, logarithmic, new_figure, save_figure, styled
from lehr.plots.style import COLOURS, GREY
from lehr.rng import generator
from lehr.sample import Sample
from lehr.techniques.partner_window import within_windows
from lehr.techniques.repeat_factors import class_factors
from lehr.techniques.replay import Replay, replayed_images
from lehr.techniques.sampling import draw_images, epoch_shares

HERE = Path(__file__).parent
EPOCHS = 200


def sample(*classes: int) -> Sample:
    boxes = np.tile(np.array([[0, 0, 8, 8]], np.float32), (len(classes), 1))
    return Sample(Path("a"), 64, 64, boxes, np.array(classes, np.int64))


def times(samples: Sequence[Sample], options: DataOptions, class_maps: Sequence[float]) -> NDArray[np.float64]:
    """How often an epoch shows each image, on average."""
    shares = epoch_shares(samples, options, class_maps)
    if shares is None:
        return np.ones(len(samples))
    drawn = [index for epoch in range(EPOCHS) for index in draw_images(shares, 0, epoch)]
    return np.asarray(np.bincount(drawn, minlength=len(samples)) / EPOCHS)


def image_weights() -> None:
    samples = [sample(*[0] * 8)] * 12 + [sample(0, 0, 0, 1)] * 5 + [sample(0, 0, 2)] * 2 + [sample()]
    figure, (axis,) = new_figure(1, 1, width=7, height=3)
    for place, (label, class_maps) in enumerate(
        (("before the first validation", (0.0, 0.0, 0.0)), ("the rarest is found well, AP 0.9", (0.8, 0.5, 0.9)))
    ):
        shown = times(samples, DataOptions(image_weights=True), class_maps)
        axis.bar(np.arange(len(samples)) + (place - 0.5) * 0.4, shown, 0.38, color=COLOURS[place], label=label)
    axis.axhline(1, color=GREY, linestyle=":", label="without image weights")
    axis.set_xticks([5.5, 14, 17.3, 19.2], ["8 common", "3 common,\n1 rare", "2, and\n1 rarest", "none"])
    axis.set(ylabel="times per epoch")
    legend(axis)
    save_figure(figure, HERE / "image-weights.svg")


def replay() -> None:
    figure, (older, length) = new_figure(1, 2, width=9, height=3)
    shares = np.linspace(0, 0.9, 181)
    for colour, batch in zip(COLOURS, (4, 16, 64), strict=False):
        counts = np.array([replayed_images(batch, share) for share in shares])
        older.step(shares, counts / batch, where="mid", color=colour, label=f"--batch {batch}")
        epochs = [Replay(1000, batch, share).images / 1000 for share in shares]
        length.plot(shares, epochs, color=colour, label=f"--batch {batch}")
    older.set(xlabel="--replay", ylabel="older images, share of a batch")
    length.set(xlabel="--replay", ylabel="images per own image")
    logarithmic(length, "y")
    legend(figure)
    save_figure(figure, HERE / "replay.svg")


def repeat_factors() -> None:
    figure, (factors, shown) = new_figure(1, 2, width=9, height=3)
    frequencies = np.geomspace(1e-4, 1, 300)
    for threshold in (0.001, 0.01, 0.1):
        factors.plot(frequencies, class_factors(frequencies, threshold), label=f"--repeat-threshold {threshold:g}")
    logarithmic(factors, "both")
    factors.set(xlabel="share of the images that show a class", ylabel="repeat factor")
    legend(factors)
    kinds = (("common", sample(0), 170), ("rare", sample(0, 1), 20), ("rarest", sample(0, 2), 5), ("none", sample(), 5))
    samples = [each for _, each, count in kinds for each in [each] * count]
    ends = np.cumsum([0, *(count for _, _, count in kinds)])
    cases = (
        ("--repeat-threshold 0.1", DataOptions(repeat_threshold=0.1)),
        ("--repeat-threshold 0.3", DataOptions(repeat_threshold=0.3)),
        ("--image-weights", DataOptions(image_weights=True)),
    )
    for place, (label, options) in enumerate(cases):
        each = times(samples, options, (0.0, 0.0, 0.0))
        heights = [each[first:last].mean() for first, last in pairwise(ends)]
        shown.bar(np.arange(len(kinds)) + (place - 1) * 0.27, heights, 0.25, color=COLOURS[place], label=label)
    shown.axhline(1, color=GREY, linestyle=":", label="each once")
    shown.set_xticks(range(len(kinds)), [f"{name},\n{count} of 200" for name, _, count in kinds])
    shown.set(ylabel="times per epoch")
    legend(shown)
    save_figure(figure, HERE / "repeat-factors.svg")


def background_share() -> None:
    samples = [sample(0)] * 160 + [sample()] * 40
    shares = (None, 0.0, 0.05, 0.1, 0.2, 0.4)
    figure, (axis,) = new_figure(1, 1, width=7, height=3)
    shown = [times(samples, DataOptions(background_share=share), (0.0,)) for share in shares]
    places = np.arange(len(shares))
    axis.bar(places - 0.2, [each[:160].mean() for each in shown], 0.38, color=COLOURS[0], label="160 with objects")
    axis.bar(places + 0.2, [each[160:].mean() for each in shown], 0.38, color=COLOURS[1], label="40 without objects")
    axis.set_xticks(places, ["unset" if share is None else f"{share:g}" for share in shares])
    axis.set(xlabel="--background-share", ylabel="times per epoch")
    legend(axis)
    save_figure(figure, HERE / "background-share.svg")


def partner_windows() -> None:
    count, batch, window = 5_000, 16, 1_024
    samples, every = [sample(0)] * count, (("all", 0, COLOURS[1]), (f"windows of {window:,}", window, COLOURS[0]))
    figure, (places, shares) = new_figure(1, 2, width=9, height=3.4)
    for label, given, colour in every:
        times = np.zeros(count)
        for epoch in range(20):
            requests = within_windows(train_requests(samples, batch, 0, epoch), given)
            order = [index for request in requests for index in request.images]
            place, dots = np.argsort(order), []
            for request in requests:
                for index in request.images:
                    partners = Partners(count, request.shown).draw(generator(0, "augment", epoch, index), 3)
                    np.add.at(times, partners, 1)
                    dots.append((place[index], place[partners[0]]))
            if epoch == 0:
                places.plot(*np.array(dots).T, ".", markersize=2.5, color=colour)
        shares.hist(times, np.arange(30, 92, 2), histtype="step", color=colour, label=label)
    places.set(xlabel="position of the image in the epoch", ylabel="position of its partner")
    shares.set(xlabel="times used as a partner in 20 epochs", ylabel="images")
    legend(figure)
    save_figure(figure, HERE / "partner-windows.png")


PICTURES: dict[str, Callable[[], None]] = {
    "image-weights": image_weights,
    "repeat-factors": repeat_factors,
    "background-share": background_share,
    "replay": replay,
    "partner-windows": partner_windows,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        with styled():
            PICTURES[name]()

"""The model that a run starts with: built, given weights and anchors, frozen where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from lehr.config import TrainConfig
from lehr.distributed.collectives import ALONE, Ranks
from lehr.models.build import anchor_head, build_model
from lehr.models.detection import DetectionModel
from lehr.models.weights import take_fitting_weights
from lehr.sample import Sample
from lehr.techniques.autoanchor import autoanchor, object_sizes
from lehr.techniques.class_weights import class_counts
from lehr.techniques.freezing import freeze
from lehr.techniques.frequency_bias import start_from_frequencies


def start_model(
    config: TrainConfig,
    names: tuple[str, ...],
    samples: Sequence[Sample],
    say: Callable[[str], None],
    ranks: Ranks = ALONE,
    restored: bool = False,
) -> DetectionModel:
    """The model as it is before the first step, on the CPU.

    Args:
        config: the run's options.
        names: the class names.
        samples: the training split.
        say: told what was done.
        ranks: the processes that train together; rank 0 fits the anchors for all.
        restored: a checkpoint will bring weights and anchors, so none are looked for.

    Raises:
        InputError: the weights cannot be read, or there is no layer of a name to freeze.
    """
    options = config.model
    model = build_model(
        options.model,
        names,
        config.imgsz,
        config.run.seed,
        depth=options.depth,
        width=options.width,
        anchors=options.anchors,
    )
    if not restored:
        _give_values(model, config, samples, say, ranks)
    if options.freeze is not None:
        frozen = freeze(model, options.freeze)
        say(f"Frozen: {frozen} of {sum(1 for _ in model.parameters())} parameters (--freeze {options.freeze}).")
    return model


def _give_values(
    model: DetectionModel, config: TrainConfig, samples: Sequence[Sample], say: Callable[[str], None], ranks: Ranks
) -> None:
    """Biases, weights and anchors that a new run starts with."""
    options = config.model
    if options.frequency_bias:
        start_from_frequencies(model, class_counts(samples, len(model.names)))
    anchors_given = False
    if options.weights is not None:
        transfer = take_fitting_weights(model, options.weights)
        anchors_given = transfer.anchors
        say(f"{transfer.taken} of {transfer.total} tensors start from {options.weights}; the others start random.")
        if transfer.taken < transfer.total / 2:
            say(f"So few because they are of another model: {transfer.source}.")
    _fit_anchors(model, config, samples, anchors_given, say, ranks)


def _fit_anchors(
    model: DetectionModel,
    config: TrainConfig,
    samples: Sequence[Sample],
    given: bool,
    say: Callable[[str], None],
    ranks: Ranks,
) -> None:
    head = anchor_head(model)
    if head is None:
        return
    if given:
        say("Anchors: those of the weights.")
        return
    if not config.model.autoanchor:
        return
    found = ranks.broadcast_from_rank0(
        lambda: autoanchor(
            head.pixel_anchors.double().numpy(),
            object_sizes(samples, config.imgsz),
            config.loss.anchor_t,
            seed=config.run.seed,
            always=config.model.anchors != 3,
        )
    )
    text = f"AutoAnchor: best possible recall {found.before.bpr:.4f}, {found.before.aat:.2f} anchors an object"
    if found.changed:
        head.set_anchors(torch.from_numpy(found.anchors))
        sides = ", ".join(f"{w:.0f}x{h:.0f}" for w, h in found.anchors.reshape(-1, 2))
        say(f"{text}; with anchors fitted to the data {found.after.bpr:.4f}, {found.after.aat:.2f}: {sides}.")
    else:
        say(f"{text}; the anchors stay.")

"""The model that a run starts with: built, given weights and anchors, frozen where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lehr.config import TrainConfig
from lehr.data.relocation import weights_source
from lehr.distributed.collectives import ALONE, Ranks
from lehr.models.anchor_head import AnchorHead
from lehr.models.build import anchor_head, build_model
from lehr.models.detection import DetectionModel
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample
from lehr.techniques.autoanchor import ENOUGH_RECALL, AnchorFit, AutoAnchor, autoanchor, measure, object_sizes
from lehr.techniques.class_weights import class_counts
from lehr.techniques.freezing import freeze, frozen_prefixes
from lehr.techniques.frequency_bias import start_from_frequencies
from lehr.weights.class_rows import ClassTransfer
from lehr.weights.transfer import take_fitting_weights


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
    if options.frequency_bias:  # before the weights, so that it holds for the classes that these do not have
        start_from_frequencies(model, class_counts(samples, len(model.names)))
    anchors_given = False
    weights = weights_source(config)
    if weights is not None:
        transfer = take_fitting_weights(model, weights)
        anchors_given = transfer.anchors
        say(f"{transfer.taken} of {transfer.total} tensors start from {weights}; the others start random.")
        if transfer.taken < transfer.total / 2:
            say(f"So few because they are of another model: {one_line(transfer.source)}.")
        _report_classes(transfer.classes, model.names, weights, say)
        if options.frequency_bias and len(transfer.classes.carried) == len(model.names):
            say("--frequency-bias has no effect: all classes start from the weights.")
    _fit_anchors(model, config, samples, anchors_given, say, ranks)


def _report_classes(classes: ClassTransfer, names: tuple[str, ...], weights: Path, say: Callable[[str], None]) -> None:
    """Report which classes start from weights that may have been trained for others."""
    carried, count = classes.carried, len(names)
    if classes.by == "name" and carried:
        some = ", ".join(map(one_line, carried[:5])) + (", ..." if len(carried) > 5 else "")
        rest = "" if len(carried) == count else "; the others start fresh"
        say(f"Class layers: {len(carried)} of {count} classes start from the weights, by name ({some}){rest}.")
    elif classes.by == "name":
        say(f"Class layers: 0 of {count} classes are among those of the weights, so all start fresh.")
    elif classes.by == "place" and carried:
        say(
            f"Class layers: the classes of {weights} are not known by name, so they start from its rows in the order "
            "in which they are there; that is right only for the same classes."
        )


def _fit_anchors(
    model: DetectionModel,
    config: TrainConfig,
    samples: Sequence[Sample],
    of_weights: bool,
    say: Callable[[str], None],
    ranks: Ranks,
) -> None:
    head = anchor_head(model)
    if head is None:
        return
    kept = _keeps_anchors(model, config, of_weights)
    found = ranks.broadcast_from_rank0(
        lambda: _find_anchors(head, config, samples, of_weights, measure_only=bool(kept)),
        AutoAnchor,
        AnchorFit,
    )
    text = f"AutoAnchor: best possible recall {found.before.bpr:.4f}, {found.before.aat:.2f} anchors an object"
    if of_weights:
        text += " with the anchors of the weights"
    if found.changed:
        head.set_anchors(torch.from_numpy(found.anchors))
        sides = ", ".join(f"{w:.0f}x{h:.0f}" for w, h in found.anchors.reshape(-1, 2))
        say(f"{text}; with anchors fitted to the data {found.after.bpr:.4f}, {found.after.aat:.2f}: {sides}.")
        if of_weights:
            say(
                "The head's boxes are multiples of its anchors, so those that the weights draw have changed in size; "
                "--autoanchor off keeps the anchors of the weights."
            )
        return
    if found.before.bpr <= ENOUGH_RECALL and any(len(sample.boxes) for sample in samples):
        text += f". {1 - found.before.bpr:.1%} of the objects have no anchor like them, and cannot be learned"
    say(f"{text}; the anchors stay{kept}.")


def _keeps_anchors(model: DetectionModel, config: TrainConfig, of_weights: bool) -> str:
    """Why the anchors are only measured, as the end of a sentence; empty where they may be fitted."""
    options = config.model
    if options.autoanchor == "off":
        return " (--autoanchor off)"
    if of_weights and options.freeze is not None:
        head = f"model.{len(model.model) - 1}."
        names = [name for name, _ in model.named_parameters() if name.startswith(head)]
        if any(name.startswith(frozen_prefixes(model, options.freeze)) for name in names):
            return f", since a frozen head cannot learn others (--freeze {options.freeze})"
    return ""


def _find_anchors(
    head: AnchorHead, config: TrainConfig, samples: Sequence[Sample], of_weights: bool, measure_only: bool
) -> AutoAnchor:
    """The anchors to use, measured on the objects of the training split."""
    anchors, options = head.pixel_anchors.double().numpy(), config.model
    sizes, threshold = object_sizes(samples, config.imgsz), config.loss.anchor_t
    if measure_only:
        fit = measure(anchors, sizes, threshold)
        return AutoAnchor(fit, anchors, fit, False)
    made_up = options.anchors != 3 and not of_weights  # nobody has fitted those to anything
    always = options.autoanchor == "always" or made_up
    return autoanchor(anchors, sizes, threshold, seed=config.run.seed, always=always, trained=of_weights)

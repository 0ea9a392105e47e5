"""The initial model of a run: built, loaded with weights and anchors, and frozen as requested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lehr.checkpoint.run_folder import START
from lehr.config import TrainConfig
from lehr.data.relocation import weights_source
from lehr.distributed.collectives import ALONE, Ranks
from lehr.engine.kept_start import take_start
from lehr.errors import InputError
from lehr.models.anchor_head import AnchorHead
from lehr.models.build import anchor_head, build_model
from lehr.models.detection import DetectionModel
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample
from lehr.techniques.autoanchor import ENOUGH_RECALL, AnchorFit, AutoAnchor, autoanchor, measure, object_sizes
from lehr.techniques.class_weights import class_counts
from lehr.techniques.freezing import freeze, frozen_prefixes
from lehr.techniques.frequency_bias import start_from_frequencies
from lehr.weights.class_rows import ClassTransfer
from lehr.weights.transfer import Transfer, take_fitting_weights

NAMED = 5
"""Maximum number of classes named in a line."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start of a run.

    Attributes:
        model: before the first step, on the CPU.
        transfer: what of it came from weights; None for a random start, or if a checkpoint provides its values.
    """

    model: DetectionModel
    transfer: Transfer | None = None

    @property
    def is_trained(self) -> bool:
        """True if at least half of the tensors came from weights."""
        return self.transfer is not None and self.transfer.is_most

    @property
    def known(self) -> float:
        """Share of the classes that start from weights, 0 to 1; 1 if there are no classes."""
        return 1.0 if self.transfer is None else self.transfer.known


def start_model(
    config: TrainConfig,
    names: tuple[str, ...],
    samples: Sequence[Sample],
    say: Callable[[str], None],
    ranks: Ranks = ALONE,
    restored: bool = False,
    kept: Path | None = None,
    counts: Sequence[float] | None = None,
) -> Start:
    """The model before the first step, on the CPU, and where it came from.

    Args:
        config: the run's options.
        names: the class names.
        samples: the images to train on.
        say: reports what was done.
        ranks: the processes that train together; rank 0 fits the anchors for all.
        restored: a checkpoint provides weights and anchors, so none are loaded.
        kept: folder of a run that keeps its start, which is loaded; None for a new one.
        counts: objects per class in an epoch; None for those of `samples`.

    Raises:
        InputError: the weights cannot be read, there is no layer of a name to freeze, or a frozen one starts from
            random values.
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
    transfer = None
    if kept is not None:
        transfer = take_start(kept, model, ranks)
        say(f"Starts from {kept / START}, which holds what the run took from {weights_source(config)}.")
    elif not restored:
        transfer = _give_values(model, config, samples, counts, say, ranks)
    if options.freeze is not None:
        if transfer is not None:
            _assert_anew_learns(model, options.freeze, transfer)
        frozen = freeze(model, options.freeze)
        say(f"Frozen: {frozen} of {sum(1 for _ in model.parameters())} parameters (--freeze {options.freeze}).")
    return Start(model, transfer)


def _give_values(
    model: DetectionModel,
    config: TrainConfig,
    samples: Sequence[Sample],
    counts: Sequence[float] | None,
    say: Callable[[str], None],
    ranks: Ranks,
) -> Transfer | None:
    """Set the biases, weights and anchors that a new run starts with; return what came from weights."""
    options, transfer = config.model, None
    if options.frequency_bias:  # before the weights, so that it applies to classes that these lack
        start_from_frequencies(model, counts or class_counts(samples, len(model.names)))
    anchors_given = False
    weights = weights_source(config)
    if weights is not None:
        transfer = take_fitting_weights(model, weights, options.reset_head)
        anchors_given = transfer.anchors
        others = "" if transfer.taken == transfer.total else "; the others start from random values"
        say(f"{transfer.taken} of {transfer.total} tensors start from {weights}{others}.")
        if not transfer.is_most:
            say(f"So few because they belong to another model: {one_line(transfer.source)}.")
        say(describe_classes(transfer.classes, weights))
        if options.frequency_bias and not transfer.classes.fresh:
            say("--frequency-bias has no effect: all classes start from the weights.")
    _fit_anchors(model, config, samples, anchors_given, say, ranks)
    return transfer


def _assert_anew_learns(model: DetectionModel, layers: str, transfer: Transfer) -> None:
    """Refuse to freeze class layers that start from random values: their classes could not be learned."""
    fresh = transfer.classes.fresh
    head = f"model.{len(model.model) - 1}."
    rows = [head + name for name in model.head.class_rows(len(model.names))]
    if fresh and any(name.startswith(frozen_prefixes(model, layers)) for name in rows):
        raise InputError(
            f"--freeze {layers}: freezes class layers that start from random values, so that {_listed(fresh)} could "
            f"not be learned. Freeze layers before the head (layer {len(model.model) - 1} of {model.variant}), such as "
            "--freeze 10."
        )


def describe_classes(classes: ClassTransfer, weights: Path) -> str:
    """Describe in one line which classes start from weights, and why others do not.

    Args:
        classes: those of the model.
        weights: the file.
    """
    carried = len(classes.carried)
    count = counted(carried + len(classes.fresh), "class")
    match classes.by:
        case "same":
            return f"Class layers: {carried} of {count} start from the weights."
        case "place":
            return (
                f"Class layers: the classes of {weights} are not known by name, so they are taken in the file's order, "
                "which is right only for the same classes."
            )
        case "reset":
            return f"Class layers: 0 of {count} start from the weights (--reset-head), so all start from random values."
        case "shape":
            return (
                f"Class layers: 0 of {count} start from the weights, since {classes.misfit}; all start from random "
                "values."
            )
        case "name" if not carried:
            names = _listed(classes.known)
            return (
                f"Class layers: 0 of {count} are among those of the weights ({names}), so all start from random values."
            )
    rest = f"; the others start from random values ({_listed(classes.fresh)})" if classes.fresh else ""
    alike = [f"'{here}' is '{there}' there" for here, there in classes.renamed]
    also = f"; {', '.join(map(one_line, alike[:NAMED]))}" if alike else ""
    return (
        f"Class layers: {carried} of {count} start from the weights, by name ({_listed(classes.carried)}){also}{rest}."
    )


def _listed(names: Sequence[str]) -> str:
    """Join the first of some names into a line."""
    return ", ".join(map(one_line, names[:NAMED])) + (", ..." if len(names) > NAMED else "")


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
    text = f"AutoAnchor: best possible recall {found.before.bpr:.4f}, {found.before.aat:.2f} anchors per object"
    if of_weights:
        text += " with the anchors of the weights"
    if found.changed:
        head.set_anchors(torch.from_numpy(found.anchors))
        sides = ", ".join(f"{w:.0f}x{h:.0f}" for w, h in found.anchors.reshape(-1, 2))
        say(f"{text}; with anchors fitted to the data {found.after.bpr:.4f}, {found.after.aat:.2f}: {sides}.")
        if of_weights:
            say(
                "The head's boxes are multiples of its anchors, so those that the weights predict have changed in "
                "size; --autoanchor off keeps the anchors of the weights."
            )
        return
    if found.before.bpr <= ENOUGH_RECALL and any(len(sample.boxes) for sample in samples):
        text += f". {1 - found.before.bpr:.1%} of the objects match no anchor and cannot be learned"
    say(f"{text}; the anchors are kept{kept}.")


def _keeps_anchors(model: DetectionModel, config: TrainConfig, of_weights: bool) -> str:
    """Reason why the anchors are only measured, as the end of a sentence; empty if they may be fitted."""
    options = config.model
    if options.autoanchor == "off":
        return " (--autoanchor off)"
    if of_weights and options.freeze is not None:
        head = f"model.{len(model.model) - 1}."
        names = [name for name, _ in model.named_parameters() if name.startswith(head)]
        if any(name.startswith(frozen_prefixes(model, options.freeze)) for name in names):
            return f", since a frozen head cannot learn new ones (--freeze {options.freeze})"
    return ""


def _find_anchors(
    head: AnchorHead, config: TrainConfig, samples: Sequence[Sample], of_weights: bool, measure_only: bool
) -> AutoAnchor:
    """Choose the anchors, measured on the objects of the training split."""
    anchors, options = head.pixel_anchors.double().numpy(), config.model
    sizes, threshold = object_sizes(samples, config.imgsz), config.loss.anchor_t
    if measure_only:
        fit = measure(anchors, sizes, threshold)
        return AutoAnchor(fit, anchors, fit, False)
    made_up = options.anchors != 3 and not of_weights  # these were never fitted to data
    always = options.autoanchor == "always" or made_up
    return autoanchor(anchors, sizes, threshold, seed=config.run.seed, always=always, trained=of_weights)

"""Splits without objects, and false positives: what an evaluation says of images on which nothing is to be found."""

from __future__ import annotations

from collections.abc import Sequence

from lehr.errors import InputError
from lehr.evaluation.metrics import Metrics
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample


def is_background(samples: Sequence[Sample]) -> bool:
    """Return whether a split has no object that an evaluation counts."""
    return not any(len(sample.instance_classes) for sample in samples)


def require_labels(samples: Sequence[Sample], source: str, split: str) -> None:
    """Check that a split without objects is meant so: a label file says of most images that they are background.

    Args:
        samples: the split.
        source: the data set, for messages.
        split: the split's name, for messages.

    Raises:
        InputError: it has no object, and most of its images have no label file.
    """
    if not is_background(samples):
        return
    missing = [sample for sample in samples if sample.label_path is None]
    if 2 * len(missing) > len(samples):
        raise InputError(
            f"{source}: no image of the split '{split}' has an object, and {len(missing)} of {len(samples)} have no "
            f"label file, such as {missing[0].path}. If they are background, write an empty label file for each; "
            "`lehr data check` says where it is looked for."
        )


def background_notes(samples: Sequence[Sample], training: bool = False) -> list[str]:
    """Describe what an evaluation of a split without objects can measure, one line each; none if it has some.

    Args:
        samples: the split.
        training: the split is a run's validation split.
    """
    if not is_background(samples):
        return []
    what = "No image of the validation split has an object" if training else "No image has an object"
    notes = [f"{what}, so recall and average precision cannot be measured; false positives are counted."]
    if training:
        notes.append(
            "The last epoch therefore counts as the best, and --patience does not end the run. For a validation that "
            "shows which epoch is best, add images with objects: `lehr data split` deals all images again."
        )
    return notes


def describe_false_positives(metrics: Metrics) -> str:
    """Describe the false positives of an evaluation in a line; empty for results that did not count them."""
    total, images = metrics.false_positives, metrics.images_with_false_positives
    if total is None or images is None:
        return ""
    if not total:
        return f"No false positive at confidence {metrics.confidence:.3f}."
    most = sorted(metrics.classes.items(), key=lambda item: -(item[1].false_positives or 0))
    named = ", ".join(f"{each.false_positives} {one_line(name)}" for name, each in most[:3] if each.false_positives)
    more = ", ..." if sum(bool(each.false_positives) for _, each in most) > 3 else ""
    return (
        f"False positives at confidence {metrics.confidence:.3f}: {total} ({named}{more}), in {images} of "
        f"{counted(metrics.images, 'image')}, {metrics.false_positives_per_image:.2f} per image."
    )

"""A model card: what the Hub shows of weights, and the metadata by which it finds and ranks them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError
from lehr.models.detection import DetectionModel
from lehr.runtime.counted import counted
from lehr.runtime.installing import pip_install
from lehr.runtime.plain_text import one_line
from lehr.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import ModelCard, ModelCardData

PIPELINE = "object-detection"
SHOWN = 100
"""Classes that a card lists."""
METRICS = {"map": "mAP50-95", "map50": "mAP50", "precision": "precision", "recall": "recall", "f1": "F1"}
"""Numbers of an evaluation that a card has, and what it calls them."""
OF_TRAINING = "the validation split of its training"
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Facts of a model card that its weights do not know.

    Attributes:
        license: the licence of the weights, as the Hub writes it, e.g. "apache-2.0"; "other" needs a name.
        license_name: its name, where it is another than the Hub knows.
        license_link: if it can be read.
        data: what it was trained on, in words; may be empty.
        datasets: data sets on the Hub that it was trained on, as owner/name.
        metrics: numbers of an evaluation, by name, 0 to 1.
        measured_on: data and split of these numbers.
        description: what the model is for, Markdown; may be empty.
    """

    license: str
    license_name: str | None = None
    license_link: str | None = None
    data: str = ""
    datasets: Sequence[str] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    measured_on: str = OF_TRAINING
    description: str = ""


def check_license(license: str, name: str | None) -> None:
    """Check that a licence is written as the Hub writes them.

    Raises:
        InputError: it is not.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", license):
        raise InputError(
            f"license {license!r}: write it as the Hub does, e.g. 'apache-2.0', 'cc-by-4.0', 'agpl-3.0' or 'other'; "
            "https://huggingface.co/docs/hub/repositories-licenses lists them."
        )
    if license == "other" and not name:
        raise InputError("license 'other': needs license_name, and license_link to if it can be read.")


def model_card(model: DetectionModel, repository: str, facts: CardFacts, metadata: Mapping[str, str]) -> ModelCard:
    """The card of a model.

    Args:
        model: the model.
        repository: owner/name.
        facts: what else is known of it.
        metadata: of the weights file that it came from.

    Raises:
        InputError: the licence is not written as the Hub writes it.
    """
    from huggingface_hub import ModelCard

    check_license(facts.license, facts.license_name)
    header = _card_data(model, repository, facts).to_yaml(line_break="\n")
    return ModelCard(f"---\n{header}\n---\n\n{_body(model, repository, facts, metadata)}")


def _card_data(model: DetectionModel, repository: str, facts: CardFacts) -> ModelCardData:
    from huggingface_hub import EvalResult, ModelCardData

    numbers = _numbers(facts.metrics)
    results = [
        EvalResult(
            task_type=PIPELINE,
            dataset_type=facts.datasets[0] if facts.datasets else "custom",
            dataset_name=one_line(facts.data) or facts.measured_on,
            metric_type=name.replace("-", "_").lower(),
            metric_name=name,
            metric_value=value,
        )
        for name, value in numbers.items()
    ]
    return ModelCardData(
        license=facts.license,
        license_name=facts.license_name,
        license_link=facts.license_link,
        library_name="lehr",
        pipeline_tag=PIPELINE,
        tags=["lehr", PIPELINE, "yolo", model.variant],
        datasets=list(facts.datasets) or None,
        model_name=repository.split("/")[-1] if results else None,
        eval_results=results or None,
    )


def _body(model: DetectionModel, repository: str, facts: CardFacts, metadata: Mapping[str, str]) -> str:
    """The text of the card."""
    name = repository.split("/")[-1]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    parts = [
        f"# {markdown(name)}",
        f"An object detector of {parameters / 1e6:.2f} million parameters: {markdown(model.variant)} for "
        f"{model.imgsz} pixels and {counted(len(model.names), 'class')}, written by "
        f"Lehr {__version__}.",
        facts.description.strip(),
        "## Use",
        f"```python\nfrom lehr import Detector  # in the folder of a clone: {pip_install('hub')}\n\n"
        f'detector = Detector.from_pretrained("{repository}")\nfor found in detector.predict("photo.jpg")[0]:\n'
        "    print(found.name, found.score, found.xyxy)\n```",
        f"```console\n$ lehr predict --weights hf://{repository} photo.jpg\n```",
        "## Classes",
        _classes(model.names),
        "## Metrics",
        _table(facts),
        "## Data",
        markdown(facts.data) or "Not stated.",
        "\n".join(f"- [{each}](https://huggingface.co/datasets/{each})" for each in facts.datasets),
        "## Licence",
        _license(facts, metadata),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of an evaluation that a card has, by what it calls them; those that were not measured are missing."""
    known = {METRICS[name]: metrics.get(name) for name in METRICS}
    return {name: round(float(value), 4) for name, value in known.items() if isinstance(value, int | float)}


def _table(facts: CardFacts) -> str:
    numbers = _numbers(facts.metrics)
    if not numbers:
        return "Not measured."
    images, objects = facts.metrics.get("images"), facts.metrics.get("instances")
    counts = f", {counted(images, 'image')} with {counted(objects, 'object')}" if images and objects else ""
    rows = [f"| {name} | {value:.4f} |" for name, value in numbers.items()]
    text = f"On {markdown(facts.measured_on)}{counts}; precision, recall and F1 at IoU 0.5 and the best confidence."
    return "\n".join([text, "", "| metric | value |", "|---|---:|", *rows])


def _classes(names: Sequence[str]) -> str:
    listed = ", ".join(markdown(name) for name in names[:SHOWN])
    return listed + (f" and {len(names) - SHOWN} more." if len(names) > SHOWN else ".")


def _license(facts: CardFacts, metadata: Mapping[str, str]) -> str:
    """The licence that is stated, and that which the file of another trainer stated."""
    name = markdown(facts.license_name or facts.license)
    text = f"[{name}]({facts.license_link})" if facts.license_link else name
    try:
        source = json.loads(metadata.get("source", "{}"))
    except ValueError:
        source = {}
    stated = source.get("license") if isinstance(source, dict) else None
    if not isinstance(stated, str):
        return f"The weights: {text}."
    return f"The weights: {text}. They were read from another trainer's file, which states: {markdown(stated[:200])}."


def markdown(text: str) -> str:
    """A text as Markdown shows it letter by letter, on one line."""
    return SPECIAL.sub(r"\\\1", one_line(text))

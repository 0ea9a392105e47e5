"""A model in the form of the Hub's mixin, and weights to the Hub."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin
from torch import Tensor, nn

from lehr.errors import InputError
from lehr.integrations.hub import WEIGHTS, endpoint, fetch_weights, hub_errors, hub_name
from lehr.integrations.model_card import PIPELINE, CardFacts, check_license, model_card
from lehr.models.build import anchor_head
from lehr.models.detection import DetectionModel, Prediction
from lehr.runtime.plain_text import one_line
from lehr.version import __version__
from lehr.weights.load import load_model, read_metadata
from lehr.weights.write import save_weights

KEPT = ("epoch", "metrics", "source")
"""Metadata of a weights file that its copy on the Hub has too."""


class HubModel(nn.Module, PyTorchModelHubMixin, library_name="lehr", pipeline_tag=PIPELINE, tags=["lehr"]):
    """A detector as the Hub's `PyTorchModelHubMixin` has it: `save_pretrained`, `from_pretrained`, `push_to_hub`.

    A repository holds `model.safetensors` as Lehr writes it, `config.json`, which describes it to people and to the
    Hub, and a card. Of these `from_pretrained` reads the first alone; the mixin's own would believe `config.json`, and
    take a pickle if there are no safetensors.

    Args:
        model: the model.
        metadata: of the weights file that it came from; what it says of its origin and metrics is kept.
        card: what its card says.
    """

    def __init__(self, model: DetectionModel, metadata: Mapping[str, str] | None = None, card: CardFacts | None = None):
        super().__init__()
        self.model = model
        self._metadata = dict(metadata or {})
        self._card = card
        self._hub_mixin_config = hub_config(model)

    def forward(self, images: Tensor) -> Prediction:
        """Predict for images (batch, 3, height, width), RGB, 0 to 1."""
        prediction: Prediction = self.model(images)
        return prediction

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(self.model, save_directory / WEIGHTS, kept_details(self._metadata))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        token: str | bool | None = None,
        revision: str | None = None,
        **options: Any,
    ) -> Self:
        """Load a model from a folder that `save_pretrained` wrote, or from the Hub.

        Args:
            pretrained_model_name_or_path: a folder, or owner/name.
            token: of the Hub.
            revision: branch, tag or commit.
            options: further ones of the mixin; none is taken.

        Raises:
            InputError: it is not there, or its weights cannot be used.
            TypeError: another option is given.
        """
        if options:
            raise TypeError(f"HubModel.from_pretrained takes token and revision, not {', '.join(options)}.")
        name = str(pretrained_model_name_or_path)
        file = Path(name) / WEIGHTS
        if not Path(name).is_dir():
            file = fetch_weights(hub_name(name, revision), token=token)
        return cls(load_model(file), read_metadata(file))

    def generate_model_card(self, *args: Any, repository: str = "detector", **kwargs: Any) -> ModelCard:
        """The card of the model; a template of the Hub's if nothing is known but the weights."""
        if self._card is None:
            return super().generate_model_card(*args, **kwargs)
        return model_card(self.model, repository, self._card, self._metadata)


def push_model(
    model: DetectionModel,
    repository: str,
    card: CardFacts,
    metadata: Mapping[str, str],
    *,
    private: bool = True,
    token: str | None = None,
    revision: str | None = None,
) -> str:
    """Push a model to the Hub: weights, `config.json` and card, as one commit.

    Args:
        model: the model.
        repository: owner/name; made if it is not there.
        card: what its card says.
        metadata: of the weights file that it came from.
        private: whether a repository that is created is private; an existing one keeps its setting.
        token: of the Hub (unset: that of `hf auth login`, or HF_TOKEN).
        revision: branch that the commit goes to.

    Returns:
        The address of the commit.

    Raises:
        InputError: the name or the licence is not as the Hub has them, or the Hub refuses.
    """
    if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repository):
        raise InputError(f"{one_line(repository)}: is not a repository of the Hub. Write owner/name.")
    check_license(card.license, card.license_name)
    hub = HubModel(model, metadata, card)
    api = HfApi(endpoint=endpoint(), token=token, library_name="lehr", library_version=__version__)
    with tempfile.TemporaryDirectory() as folder, hub_errors(repository):
        hub.save_pretrained(folder, model_card_kwargs={"repository": repository})
        api.create_repo(repository, private=private, exist_ok=True)
        pushed = api.upload_folder(
            repo_id=repository, folder_path=folder, revision=revision, commit_message=f"Push {model.variant} by Lehr"
        )
    return pushed.commit_url


def kept_details(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Facts of a weights file on its training and origin, as JSON holds them; what is not JSON is dropped."""
    details: dict[str, Any] = {}
    for name in KEPT:
        with contextlib.suppress(KeyError, ValueError, RecursionError):
            details[name] = json.loads(metadata[name])
    return details


def hub_config(model: DetectionModel) -> dict[str, Any]:
    """Content of `config.json` on a model; nothing of it is read back."""
    head = anchor_head(model)
    return {
        "library_name": "lehr",
        "lehr_version": __version__,
        "model": model.variant,
        "imgsz": model.imgsz,
        "depth": model.scale.depth,
        "width": model.scale.width,
        "id2label": {str(number): name for number, name in enumerate(model.names)},
        **({} if head is None else {"anchors_a_level": head.anchors.shape[1]}),
    }

"""A detector's weights: where they come from, and the network that they make."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from lehr.backends.load import open_export
from lehr.detections.familiar_names import missing_attribute
from lehr.detector.familiar_names import OF_DETECTOR
from lehr.detector.for_python import for_python
from lehr.errors import InputError, LehrError
from lehr.integrations.hub import hub_name, local_weights
from lehr.models.detection import DetectionModel
from lehr.models.family import find_family, is_model, known_case
from lehr.models.fuse import FusedCopy
from lehr.models.network import Network
from lehr.models.scale import rounded_size
from lehr.runtime.device import DeviceName, pick_device
from lehr.runtime.plain_text import one_line
from lehr.runtime.process_state import default_modes
from lehr.weights.load import load_model, names_weights
from lehr.weights.source import open_weights

if TYPE_CHECKING:
    from lehr.export.certificate import Certificate

MAX_SHOWN = 5
"""Class names that a repr lists."""


class DetectorBase:
    """A detector with its weights, or with the name of a model that is still to be trained.

    Args:
        model: a model's name, a file of weights, the folder of a run, weights on the Hugging Face Hub, or an export.
        device: where the weights are put: auto, cpu, cuda, mps or a CUDA index such as "0".
        depth: multiple of the blocks' repeats, of a model that is still to be trained; None for that of its name.
        width: multiple of the channels, likewise.

    Raises:
        InputError: there is no such model or device, or the file cannot be used.
    """

    @for_python
    def __init__(
        self,
        model: str | Path = "yolov8n",
        device: DeviceName = "auto",
        *,
        depth: float | None = None,
        width: float | None = None,
    ) -> None:
        if isinstance(model, DetectorBase):
            raise InputError("model: is a Detector already. Use it, or load its file: Detector(detector.weights).")
        if not isinstance(model, str | os.PathLike):
            raise InputError(f"{model!r}: is not a model. Give a model's name, e.g. 'yolov8n', or a file of weights.")
        self._weights: Path | None = None
        self._notes: tuple[str, ...] = ()
        self._model: DetectionModel | None = None
        self._export: Network | None = None
        self._fused = FusedCopy()
        self._certificate: Certificate | None = None
        self._callbacks: list[object] = []
        self._data: str | None = None
        self._device: DeviceName = device
        scale = {"depth": depth, "width": width}
        self._scale = {name: value for name, value in scale.items() if value is not None}
        name = known_case(os.fspath(model))
        if not isinstance(model, str) or names_weights(model) or (not is_model(name) and Path(model).exists()):
            if self._scale:
                raise InputError(f"{', '.join(self._scale)}: {model} has its own. Remove it.")
            self._become(Path(model), device)
        else:
            self._name = name
            find_family(self._name)
            if not (isinstance(device, str) and "," in device):  # several are for training
                pick_device(device)

    @classmethod
    @for_python
    def load(cls, path: str | Path, device: DeviceName = "auto") -> Self:
        """Load a detector from a file of weights, whatever its name.

        Args:
            path: a .safetensors file that Lehr wrote, or a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP (.pt, .onnx); or
                weights on the Hugging Face Hub, "hf://owner/name"; or an export of Lehr's (.onnx, .pt2, the folder of
                an OpenVINO model).
            device: auto, cpu, cuda, mps or a CUDA index such as "0".

        Raises:
            InputError: the file cannot be used, or there is no such device.
        """
        return cls(Path(path) if isinstance(path, str | os.PathLike) else path, device)

    @classmethod
    @for_python
    def from_pretrained(
        cls, repository: str, *, revision: str | None = None, token: str | None = None, device: DeviceName = "auto"
    ) -> Self:
        """Load a detector from the Hugging Face Hub; of the repository nothing but its safetensors file is read.

        Args:
            repository: owner/name.
            revision: branch, tag or commit; only a commit names the same weights for ever.
            token: of the Hub (unset: that of `hf auth login`, or HF_TOKEN).
            device: auto, cpu, cuda, mps or a CUDA index such as "0".

        Raises:
            InputError: there is no such repository, or its weights cannot be used.
            LehrError: the extra `hub` is not installed.
        """
        return cls(local_weights(hub_name(repository, revision), token=token), device)

    @property
    def model(self) -> DetectionModel:
        """The model, in eval mode.

        Raises:
            LehrError: it has neither been trained nor loaded, or is an export.
        """
        if self._export is not None:
            raise LehrError(
                f"{self._weights} is an export, which evaluates and predicts, and has no model of torch to train or to "
                "export. Load the weights that it was made of."
            )
        if self._model is None:
            raise LehrError(f"This {self._name} knows nothing yet: train it, or use Detector.load(weights).")
        return self._model

    @property
    def network(self) -> Network:
        """The network that evaluates and predicts: the model, or an export in its own runtime.

        Raises:
            LehrError: it has neither been trained nor loaded.
        """
        return self.model if self._export is None else self._export

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on another trainer's checkpoint, one per line; empty for weights that Lehr wrote."""
        return self._notes

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        return self.network.names

    @property
    def imgsz(self) -> int:
        """Longest side of the images that the weights were trained for, pixels."""
        return self.network.imgsz

    @property
    def weights(self) -> Path | None:
        """The file that the weights come from; None before training."""
        return self._weights

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return self.network.device

    @for_python
    def to(self, device: DeviceName) -> Self:
        """Move the detector to a device; returns the detector.

        Args:
            device: auto, cpu, cuda, mps or a CUDA index such as "0".

        Raises:
            InputError: there is no such device.
        """
        wanted = pick_device(device)
        self._device = device
        if self._export is not None and self._weights is not None:
            self._become(self._weights, device)
        elif self._model is not None:
            self._model.to(wanted)
        return self

    def __repr__(self) -> str:
        if self._model is None and self._export is None:
            return f"Detector({self._name}, untrained)"
        names = list(map(one_line, self.names))
        shown = ", ".join(names[:MAX_SHOWN]) + (", ..." if len(names) > MAX_SHOWN else "")
        count = "1 class" if len(names) == 1 else f"{len(names)} classes"
        return f"Detector({self._name}, {count}: {shown}; imgsz {self.imgsz}; {self.device}; {self._weights})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            raise missing_attribute(type(self), name, OF_DETECTOR)

    def _become(self, weights: Path, device: DeviceName) -> None:
        """Take the weights of a file or of the Hub, or an export, and with them the model's name."""
        weights = local_weights(weights)
        with default_modes():
            export = open_export(weights, device)
            if export is None:
                self._notes, self._model = open_weights(weights).notes, load_model(weights, pick_device(device))
            else:
                self._notes, self._model = export.notes, None
            self._weights, self._export = weights, export
        self._name = self.network.variant

    def image_size(self, wanted: int | None) -> int:
        """Longest side in whole strides: what is wanted, or that of the network.

        Raises:
            InputError: the network takes images of another size alone.
        """
        network = self.network
        if network.fixed_size is None:
            return rounded_size(wanted or network.imgsz)
        side = max(network.fixed_size)
        if wanted is not None and rounded_size(wanted) != side:
            height, width = network.fixed_size
            raise InputError(
                f"--imgsz {wanted}: {self._weights} takes only images of {width} x {height} pixels. Remove it, or "
                "export with --dynamic."
            )
        return side

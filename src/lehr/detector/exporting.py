"""Exporting a detector from Python: to other runtimes, and to the Hugging Face Hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.backends.exported_network import ExportedNetwork
from lehr.backends.load import COMPUTED, open_export
from lehr.detector.for_python import for_python
from lehr.detector.loaded import DetectorBase
from lehr.evaluation.detection_options import check_detection_options
from lehr.evaluation.evaluator import Evaluation
from lehr.integrations.model_card import OF_TRAINING, CardFacts
from lehr.integrations.packages import require_package
from lehr.runtime.process_state import default_modes
from lehr.weights.source import open_weights

if TYPE_CHECKING:
    from lehr.export.certificate import Certificate
    from lehr.weights.export_metadata import ExportMetadata


class ExportMixin(DetectorBase):
    """Adds exports and the Hugging Face Hub to a detector."""

    @property
    def certificate(self) -> Certificate | None:
        """Measurements of the last export; None if it was not run: without data, or for another machine."""
        return self._certificate

    @for_python
    def export(
        self,
        format: str = "onnx",
        *,
        out: str | Path | None = None,
        imgsz: int | tuple[int, int] | None = None,
        batch: int = 1,
        dynamic: bool = False,
        half: bool = False,
        int8: bool = False,
        opset: int = 18,
        nms: bool = False,
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        agnostic: bool = False,
        data: str | Path | None = None,
    ) -> Path:
        """Export to another runtime.

        Args:
            format: onnx, openvino, torch, executorch or coreml.
            out: the file, or the folder, to write; None for next to the weights, under their name.
            imgsz: side of the images, or height and width, pixels, rounded up to multiples of 32; None for what the
                weights were trained for.
            batch: images per step.
            dynamic: take any number of images, of any sizes that are multiples of 32.
            half: compute in float16.
            int8: compute in int8, with ranges measured on the training images of `data`.
            opset: operator set of ONNX, 18 to 23.
            nms: suppress within the graph, so that detections come out, by the following four.
            conf: lowest score.
            iou: overlap (IoU) from which the lower-scored of two boxes is suppressed.
            max_det: maximum number of detections per image.
            agnostic: suppress across classes.
            data: a data set as in `val`; the export is run on its validation images, compared, and certified.

        Returns:
            The file, or the folder. With data, its certificate is next to it and in the property `certificate`.

        Raises:
            InputError: an option cannot be used, the format does not have it, or something is not installed.
            ExportMismatch: it does not compute what the model does, and is not kept.
        """
        from lehr.export.calibration import calibration
        from lehr.export.certificate import certificate_path, certify
        from lehr.export.export import export_model
        from lehr.export.formats import find_format
        from lehr.export.options import ExportOptions, graph_size
        from lehr.export.target import default_path
        from lehr.weights.export_metadata import Suppression

        model, kind = self.model, find_format(format)
        assert self._weights is not None
        check_detection_options(imgsz=None, batch=batch, conf=conf, iou=iou, max_det=max_det)
        size, path = graph_size(imgsz, model.imgsz), default_path(self._weights, kind) if out is None else Path(out)
        suppression = Suppression(conf=float(conf), iou=float(iou), max_det=int(max_det), agnostic=agnostic)
        options = ExportOptions(
            size,
            batch=batch,
            dynamic=dynamic,
            half=half,
            int8=int8,
            nms=suppression if nms else None,
            opset=opset,
            calibration=calibration(os.fspath(data), size, batch) if int8 and data is not None else None,
        )

        def prove(written: Path, metadata: ExportMetadata) -> None:
            network = open_export(written, "cpu") if data is not None and kind.name in COMPUTED else None
            if isinstance(network, ExportedNetwork):
                found = self._certificate = certify(model, network, os.fspath(data or ""))
                found.require()

        self._certificate = None
        with default_modes():
            export_model(model, path, kind, options, weights=self._weights, prove=prove)
        if (certificate := self.certificate) is not None:
            certificate.write(certificate_path(path))
        return path

    @for_python
    def push_to_hub(
        self,
        repository: str,
        *,
        license: str,
        license_name: str | None = None,
        license_link: str | None = None,
        evaluation: Evaluation | None = None,
        measured_on: str = "",
        data: str = "",
        datasets: Sequence[str] = (),
        description: str = "",
        private: bool = True,
        revision: str | None = None,
        token: str | None = None,
    ) -> str:
        """Push weights and a model card to the Hugging Face Hub, as one commit; returns its address.

        Args:
            repository: owner/name; created if it does not exist.
            license: the licence of the weights as the Hub writes it, e.g. "apache-2.0"; nobody can choose it but you.
            license_name: its name, with "other".
            license_link: where it can be read, with "other".
            evaluation: what `val` returned, for the card (unset: the metrics of the training, if the weights have any).
            measured_on: data and split of the evaluation, in words.
            data: what it was trained on, in words.
            datasets: data sets on the Hub that it was trained on, as owner/name.
            description: what it is for, Markdown.
            private: whether a repository that is created is private; an existing one keeps its setting.
            revision: branch that the commit goes to.
            token: of the Hub (unset: that of `hf auth login`, or HF_TOKEN).

        Raises:
            InputError: the name or the licence is not as the Hub has them, or the Hub refuses.
            LehrError: it has neither been trained nor loaded; or the extra `hub` is not installed.
        """
        require_package("huggingface_hub", "hub")
        from lehr.integrations.hub_model import kept_details, push_model

        model = self.model
        metadata = {} if self._weights is None else open_weights(self._weights).metadata
        stated = kept_details(metadata).get("metrics")
        metrics = evaluation.as_dict() if evaluation is not None else stated if isinstance(stated, dict) else {}
        on = measured_on or (OF_TRAINING if evaluation is None else "a split that is not stated")
        facts = CardFacts(license, license_name, license_link, data, tuple(datasets), metrics, on, description)
        return push_model(model, repository, facts, metadata, private=private, token=token, revision=revision)

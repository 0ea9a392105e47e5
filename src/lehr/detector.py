"""The way in from Python: a detector that trains, evaluates and predicts, with the names of the shell."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import torch

from lehr.augment.tile_grid import OVERLAP
from lehr.backends.exported_network import ExportedNetwork
from lehr.backends.load import COMPUTED, open_export
from lehr.callbacks.callback import FunctionCallback
from lehr.config import build_config
from lehr.data.batch_makers import EvalBatches
from lehr.data.check import faults_of_split, refuse_unusable
from lehr.data.faults import describe_faults
from lehr.data.load import load_dataset, require_split
from lehr.data.loader import Loader
from lehr.data.requests import eval_requests
from lehr.data.tiled_split import TiledSplit, Tiling, describe_cutting
from lehr.data.tiled_store import store_to_evaluate
from lehr.detections import Detections
from lehr.errors import InputError, LehrError
from lehr.evaluation.background import background_notes, require_labels
from lehr.evaluation.crowding import crowding_notes
from lehr.evaluation.detection_options import check_detection_options
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.evaluation.shared_classes import share_classes
from lehr.evaluation.suppression_within import suppression_notes
from lehr.integrations.hub import hub_name, local_weights
from lehr.integrations.model_card import OF_TRAINING, CardFacts
from lehr.integrations.packages import require_package
from lehr.models.build import anchor_head
from lehr.models.detection import DetectionModel
from lehr.models.family import find_family, known_case
from lehr.models.fuse import FusedCopy
from lehr.models.network import Network
from lehr.models.scale import rounded_size
from lehr.options import AugmentOptions
from lehr.prediction.half_precision import in_half_precision
from lehr.prediction.inputs import ImageSource, has_no_end
from lehr.prediction.predictor import predict_images
from lehr.prediction.wanted_classes import find_classes
from lehr.runtime.device import DeviceName, configure_backend, pick_device
from lehr.runtime.environment import tidy_imports
from lehr.runtime.malloc import tuned_malloc
from lehr.runtime.process_state import default_modes, preserve_process_state
from lehr.techniques.single_class import as_one_class
from lehr.weights.load import load_model, names_weights
from lehr.weights.source import open_weights

if TYPE_CHECKING:
    from lehr.engine.result import TrainResult
    from lehr.export.certificate import Certificate
    from lehr.train_options import TrainOptions
    from lehr.weights.export_metadata import ExportMetadata


class Detector:
    """A detector by its model's name, or with the weights of a file.

    Args:
        model: a model's name, e.g. "yolov8n", which knows nothing until it is trained; or a .safetensors file that Lehr
            wrote, e.g. "runs/train/best.safetensors", or a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP (.pt, .onnx); or
            weights on the Hugging Face Hub, "hf://owner/name"; or an export of Lehr's (.onnx, .pt2, the folder of an
            OpenVINO model), which evaluates and predicts alone.
        device: where the weights of a file are put: auto, cpu, cuda, mps or a CUDA index such as "0".

    Raises:
        InputError: there is no such model or device, or the file cannot be used.

    Example:
        >>> from lehr import Detector
        >>> detector = Detector("yolov8n")
        >>> detector.train(data="shapes", epochs=20)  # doctest: +SKIP
        >>> detector.predict("photo.jpg")[0].to_supervision()  # doctest: +SKIP
    """

    def __init__(self, model: str | Path = "yolov8n", device: DeviceName = "auto") -> None:
        if not isinstance(model, str | os.PathLike):
            raise InputError(f"{model!r}: is no model. Give a model's name, e.g. 'yolov8n', or a file of weights.")
        self._weights: Path | None = None
        self._notes: tuple[str, ...] = ()
        self._model: DetectionModel | None = None
        self._export: Network | None = None
        self._fused = FusedCopy()
        self._certificate: Certificate | None = None
        self._callbacks: list[object] = []
        if names_weights(model):
            self._become(Path(model), device)
        else:
            self._name = known_case(str(model))
            find_family(self._name)

    @classmethod
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
        """What evaluates and predicts: the model, or an export in its own runtime.

        Raises:
            LehrError: it has neither been trained nor loaded.
        """
        return self.model if self._export is None else self._export

    @property
    def notes(self) -> tuple[str, ...]:
        """What was read of a checkpoint of another trainer, a line each; nothing of weights that Lehr wrote."""
        return self._notes

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        return self.network.names

    @property
    def device(self) -> torch.device:
        """The device that the model computes on."""
        return self.network.device

    @property
    def certificate(self) -> Certificate | None:
        """What was measured of the last export; None where it was not run: without data, or for another machine."""
        return self._certificate

    def add_callback(self, method: str, function: Callable[[Any], object]) -> None:
        """Call a function at an event of every training to come.

        Args:
            method: the event's method, e.g. on_train_epoch_end; `lehr.callbacks.callback` lists them.
            function: called with the event.

        Raises:
            InputError: there is no such event.
        """
        self._callbacks.append(FunctionCallback(method, function))

    def train(
        self,
        *,
        resume: str | Path | Literal[True] | None = None,
        callbacks: Sequence[object] = (),
        verbose: bool = True,
        **options: Unpack[TrainOptions],
    ) -> TrainResult:
        """Train, and become the best of the run.

        Args:
            callbacks: listeners to the run's events, beside those that were added.
            verbose: print the run's course; else only the logger `lehr` and the run's log have it.
            resume: a run's folder or checkpoint to go on with, or True for the newest interrupted run; the options are
                then those that may change, and the model is the run's.
            options: those of `lehr train`, with underscores: data, epochs, imgsz, batch, ...

        Raises:
            InputError: an option or the data cannot be used.
        """
        with tidy_imports():
            from lehr.engine.run import resume as go_on
            from lehr.engine.run import train

        listeners, given = (*self._callbacks, *callbacks), _as_text(options)
        if resume is not None:
            result = go_on(None if resume is True else Path(resume), given, listeners, verbose)
            self._become(result.best, _first_device(str(given.get("device", "auto"))))
            return result
        if self._export is not None:
            _ = self.model  # which there is none of
        start: dict[str, Any] = {"model": self._name}
        if self._model is not None and self._weights is not None:
            scale, head = self._model.scale, anchor_head(self._model)
            start |= {"weights": self._weights, "depth": scale.depth, "width": scale.width}
            start |= {} if head is None else {"anchors": head.anchors.shape[1]}
        config = build_config({**start, **given})
        result = train(config, listeners, verbose)
        self._become(result.best, _first_device(config.devices.device))
        return result

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

    def val(
        self,
        data: str | Path,
        *,
        split: Literal["train", "val", "test"] = "val",
        imgsz: int | None = None,
        batch: int = 16,
        workers: int = 0,
        square: bool = False,
        skip_broken: bool = False,
        single_cls: bool = False,
        conf: float = 0.001,
        iou: float = 0.7,
        max_det: int = 300,
        record: bool = False,
        tile: int | None = None,
        overlap: float = OVERLAP,
        tta: bool = False,
    ) -> Evaluation:
        """Evaluate on a split of a data set, on the classes that it shares with the model.

        Args:
            data: what `--data` takes.
            split: train, val or test.
            imgsz: longest side, pixels, rounded up to a multiple of 32; None for what the weights were trained for. An
                export of a fixed size takes that alone.
            batch: images at once.
            workers: processes that load images; 0 loads in this one.
            square: letterbox to squares instead of the smallest rectangle.
            skip_broken: leave out broken images instead of refusing the data.
            single_cls: treat all classes of the data as one.
            conf: lowest score of a detection.
            iou: overlap from which a detection is a repetition.
            max_det: most detections an image.
            record: keep how the detections of each image match, for `lehr.evaluation.bootstrap.compare`.
            tile: side of the tiles that images are cut into, pixels of the image; each is scaled to `imgsz`, and what
                is found is merged and evaluated in pixels of the image. None for whole images.
            overlap: share of a tile that the next one shows again at least, 0 to 0.9.
            tta: test-time augmentation: look at each image, or tile, at three scales, once mirrored.

        Raises:
            InputError: the data cannot be used, or has no class that the model knows.
        """
        model = self._fused.of(self.network)
        check_detection_options(
            imgsz=imgsz, batch=batch, conf=conf, iou=iou, max_det=max_det, workers=workers, tile=tile, overlap=overlap
        )
        if not isinstance(data, str | os.PathLike):
            raise InputError(f"data {data!r}: must be the name of a data YAML, a COCO JSON or a folder, or 'shapes'.")
        data = os.fspath(data)
        dataset = load_dataset(data, needed=(split,))
        refuse_unusable(dataset, skip_broken)
        if single_cls:
            dataset = as_one_class(dataset)
        samples = require_split(dataset, split, objects=False)
        require_labels(samples, dataset.source, split)
        one = single_cls and len(dataset.names) == len(model.names) == 1  # whatever it is called
        shared = share_classes(samples, model.names if one else dataset.names, model.names, data)
        side = self.image_size(imgsz)
        tiling = None if tile is None else Tiling(tile, overlap, AugmentOptions().min_visible)
        store = store_to_evaluate(shared.samples, side, tiling)
        pin = self.device.type == "cuda"
        batches = EvalBatches(store, side, square, fixed_size=model.fixed_size, grey=model.padding)
        loader = Loader(batches, workers, pin, min(batch, len(store.samples)))
        requests = eval_requests(store, batch)
        with preserve_process_state(), tuned_malloc(), closing(loader):
            configure_backend(self.device)
            evaluation = evaluate(
                model,
                store.samples,
                loader,
                requests,
                confidence=conf,
                iou=iou,
                max_det=max_det,
                imgsz=side,
                names=shared.names,
                columns=shared.columns,
                record=record,
                tta=tta,
            )
        faults = describe_faults(faults_of_split(dataset, split))
        tiles = [f"{describe_cutting(store.samples)}."] if isinstance(store.samples, TiledSplit) else []
        within = suppression_notes(model, conf, iou, max_det)
        cannot = [*background_notes(shared.samples), *crowding_notes(shared.samples, max_det), *within, *tiles]
        return dataclasses.replace(evaluation, notes=(*faults, *shared.notes, *cannot))

    def predict(
        self,
        source: ImageSource | Iterable[ImageSource],
        *,
        imgsz: int | None = None,
        square: bool = False,
        batch: int = 1,
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        skip_broken: bool = False,
        tile: int | None = None,
        overlap: float = OVERLAP,
        tta: bool = False,
        agnostic: bool = False,
        classes: Iterable[str | int] | str | int | None = None,
        half: bool = False,
    ) -> list[Detections]:
        """Find the objects of each image.

        Args:
            source: an image file, folder or glob; a video, an address of http or https, or a list in a text file; or
                pixels of (height, width, 3) or (batch, height, width, 3), RGB, as uint8 or floating 0 to 1; a tensor of
                (3, height, width) or (batch, 3, height, width); an image of Pillow; the bytes of an image file, or the
                file, open; or any iterable of these. Grey images and those with alpha are taken too. OpenCV's images
                are BGR: give image[..., ::-1].
            imgsz: longest side, pixels, rounded up to a multiple of 32; None for what the weights were trained for.
            square: letterbox to squares instead of the smallest rectangle.
            batch: images at once; with `tile`, tiles of one image.
            conf: lowest score.
            iou: overlap from which a detection is a repetition.
            max_det: most detections an image.
            skip_broken: give an image that cannot be read its place, without detections and with its `fault`.
            tile: side of the tiles that images are cut into, pixels of the image; each is scaled to `imgsz`, and what
                is found is merged in pixels of the image. None for whole images.
            overlap: share of a tile that the next one shows again at least, 0 to 0.9.
            tta: test-time augmentation: look at each image, or tile, at three scales, once mirrored.
            agnostic: let boxes of different classes suppress each other, so that an object is found once.
            classes: names or numbers of the classes to look for; None for all.
            half: compute in float16, on a device that does so faster; on a CPU it stays float32.

        Raises:
            InputError: an image cannot be read, or `source` holds something that is no image.
        """
        if has_no_end(source):
            raise InputError(f"{source}: is a camera or a stream, which has no end. Detector.stream gives its frames.")
        return list(
            self.stream(
                source,
                imgsz=imgsz,
                square=square,
                batch=batch,
                conf=conf,
                iou=iou,
                max_det=max_det,
                skip_broken=skip_broken,
                tile=tile,
                overlap=overlap,
                tta=tta,
                agnostic=agnostic,
                classes=classes,
                half=half,
            )
        )

    def stream(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        imgsz: int | None = None,
        square: bool = False,
        batch: int = 1,
        conf: float = 0.25,
        iou: float = 0.7,
        max_det: int = 300,
        skip_broken: bool = False,
        tile: int | None = None,
        overlap: float = OVERLAP,
        tta: bool = False,
        agnostic: bool = False,
        classes: Iterable[str | int] | str | int | None = None,
        half: bool = False,
    ) -> Iterator[Detections]:
        """The objects of each image, one image after the other; a generator's images are asked for as they are needed.

        Args:
            images: as the `source` of `predict`; also a camera's number, or the address of a stream (rtsp, http, ...),
                whose frames come without an end.
            imgsz: longest side, pixels, rounded up to a multiple of 32; None for what the weights were trained for.
            square: letterbox to squares instead of the smallest rectangle.
            batch: images at once; with `tile`, tiles of one image.
            conf: lowest score.
            iou: overlap from which a detection is a repetition.
            max_det: most detections an image.
            skip_broken: give an image that cannot be read its place, without detections and with its `fault`.
            tile: side of the tiles that images are cut into, pixels of the image; each is scaled to `imgsz`, and what
                is found is merged in pixels of the image. None for whole images.
            overlap: share of a tile that the next one shows again at least, 0 to 0.9.
            tta: test-time augmentation: look at each image, or tile, at three scales, once mirrored.
            agnostic: let boxes of different classes suppress each other, so that an object is found once.
            classes: names or numbers of the classes to look for; None for all.
            half: compute in float16, on a device that does so faster; on a CPU it stays float32.

        Raises:
            InputError: an image cannot be read, or `images` holds something that is no image.
        """
        model = self._fused.of(self.network)
        check_detection_options(
            imgsz=imgsz, batch=batch, conf=conf, iou=iou, max_det=max_det, tile=tile, overlap=overlap
        )
        return predict_images(
            in_half_precision(model) if half else model,
            images,
            imgsz=self.image_size(imgsz),
            confidence=conf,
            iou=iou,
            max_det=max_det,
            batch=batch,
            square=square,
            skip_broken=skip_broken,
            tile=tile,
            overlap=overlap,
            tta=tta,
            agnostic=agnostic,
            classes=find_classes(classes, model.names),
        )

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
            repository: owner/name; made where it is not there.
            license: the licence of the weights as the Hub writes it, e.g. "apache-2.0"; nobody can choose it but you.
            license_name: its name, with "other".
            license_link: where it can be read, with "other".
            evaluation: what `val` returned, for the card (unset: the metrics of the training, if the weights have any).
            measured_on: data and split of the evaluation, in words.
            data: what it was trained on, in words.
            datasets: data sets on the Hub that it was trained on, as owner/name.
            description: what it is for, Markdown.
            private: whether a repository that is made is private; one that is there stays as it is.
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
            out: the file, or the folder, to write; None for beside the weights, under their name.
            imgsz: side of the images, or height and width, pixels, rounded up to multiples of 32; None for what the
                weights were trained for.
            batch: images at once.
            dynamic: take any number of images, of any sizes that are multiples of 32.
            half: compute in float16.
            int8: compute in int8, with ranges measured on the training images of `data`.
            opset: operator set of ONNX, 18 to 23.
            nms: suppress within the graph, so that detections come out, by the following four.
            conf: lowest score.
            iou: overlap from which a detection is a repetition.
            max_det: most detections an image.
            agnostic: suppress across classes.
            data: what `--data` takes; the export is run on its validation images, compared, and certified.

        Returns:
            The file, or the folder; beside it, with data, is its certificate, which is the property `certificate` too.

        Raises:
            InputError: an option cannot be used, the format does not have it, or something is not installed.
            ExportParts: it does not compute what the model does, and is not kept.
        """
        from lehr.export.calibration import calibration
        from lehr.export.certificate import certificate_path, certify
        from lehr.export.export import default_path, export_model
        from lehr.export.formats import find_format
        from lehr.export.options import ExportOptions, graph_size
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
                f"--imgsz {wanted}: {self._weights} takes images of {width} x {height} pixels alone. Leave it out, or "
                "export with --dynamic."
            )
        return side


def _first_device(devices: str) -> str:
    return devices.split(",")[0]


def _as_text(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with data and devices as the shell has them: paths, indices and torch's devices become text."""
    given = dict(options)
    if isinstance(given.get("data"), os.PathLike):
        given["data"] = os.fspath(given["data"])
    device = given.get("device")
    if isinstance(device, int | torch.device):
        given["device"] = str(device)
    elif isinstance(device, list | tuple):
        given["device"] = ",".join(map(str, device))
    return given

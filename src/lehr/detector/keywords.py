"""The methods whose options are keywords; `keywords.pyi` spells these out for editors and type checkers."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

from lehr.detections import Detections
from lehr.detector.predicting import PredictionBase, Sources
from lehr.detector.training import TrainingBase
from lehr.prediction.keywords import PredictKeywords
from lehr.prediction.options import PredictOptions
from lehr.train_options import TrainOptions

if TYPE_CHECKING:
    from lehr.engine.result import TrainResult

Method = TypeVar("Method", bound=Callable[..., Any])
PREDICT_DEFAULTS = {each.name: each.default for each in dataclasses.fields(PredictOptions)}


def spelled_out(kind: type, defaults: Mapping[str, object]) -> Callable[[Method], Method]:
    """Have `help` and notebooks show each keyword of a method's `**options`.

    Args:
        kind: the TypedDict of the options.
        defaults: their defaults by name; ... where one depends on others.
    """

    def spell_out(method: Method) -> Method:
        own = inspect.signature(method)
        kept = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name, ...), annotation=kinds)
            for name, kinds in kind.__annotations__.items()
        ]
        method.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
        return method

    return spell_out


class KeywordMethods(TrainingBase, PredictionBase):
    """Adds training and prediction to a detector."""

    @spelled_out(TrainOptions, {})
    def train(
        self,
        *,
        resume: str | Path | Literal[True] | None = None,
        callbacks: Sequence[object] = (),
        verbose: bool = True,
        **options: Unpack[TrainOptions],
    ) -> TrainResult:
        """Train, and take the best weights of the run.

        Args:
            resume: a run's folder or checkpoint to resume, or True for the newest interrupted run; `options` are then
                those that may change, and the model is the run's.
            callbacks: listeners to the run's events, next to those added with `add_callback`.
            verbose: print the run's progress; otherwise only the logger `lehr` and the run's log have it.
            **options: those of `lehr train`, with underscores: data, epochs, imgsz, batch, ... `TrainOptions` in
                `lehr.train_options` describes each.

        Returns:
            The run's folder, its weights, and the metrics of its best epoch.

        Raises:
            InputError: an option or the data cannot be used.

        Examples:
            >>> from lehr import Detector
            >>> result = Detector("yolov8n").train(data="shapes", epochs=20)
            >>> epoch, weights, accuracy = result.best_epoch, result.best_weights, result.metrics.map50
        """
        return self._train(resume, callbacks, verbose, options)

    @spelled_out(PredictKeywords, PREDICT_DEFAULTS)
    def predict(self, source: Sources, **options: Unpack[PredictKeywords]) -> list[Detections]:
        """Find the objects of each image.

        Args:
            source: an image file, folder or glob; a video, an address of http or https, or a list in a text file; or
                pixels of (height, width, 3) or (batch, height, width, 3), RGB, as uint8 or floating 0 to 1; a tensor of
                (3, height, width) or (batch, 3, height, width); an image of Pillow; the bytes of an image file, or the
                file, open; or any iterable of these. Grey images and those with alpha are accepted too. OpenCV's images
                are BGR: pass image[..., ::-1].
            **options: see below.

        Other options, all keywords:

        - `imgsz`: longest side, pixels, rounded up to a multiple of 32; None for that of the weights.
        - `square`: letterbox to squares instead of the smallest rectangle.
        - `batch`: images per step; with `tile`, tiles of one image.
        - `conf`: lowest score, 0 to below 1.
        - `iou`: overlap from which the lower-scored of two boxes is suppressed.
        - `max_det`: maximum number of detections per image.
        - `skip_broken`: return an image that cannot be read without detections and with its `fault`.
        - `tile`, `overlap`: cut images into tiles of this side, pixels, that overlap by at least this share; detections
          are merged in pixels of the image.
        - `tta`: test-time augmentation: look at each image, or tile, at three scales, once mirrored.
        - `agnostic`: let boxes of different classes suppress each other.
        - `classes`: names or numbers of the classes to find; None for all.
        - `half`: compute in float16 on a device that is faster in it; a CPU stays at float32.

        Returns:
            The detections of each image, in order.

        Raises:
            InputError: an image cannot be read, or `source` holds something that is not an image.

        Examples:
            >>> from lehr import Detector
            >>> detector = Detector("runs/train/best.safetensors")
            >>> for found in detector.predict("photos", conf=0.4):
            ...     boxes, scores, names = found.xyxy, found.scores, [each.name for each in found]
        """
        return self._predict(source, options)

    @spelled_out(PredictKeywords, PREDICT_DEFAULTS)
    def __call__(self, source: Sources, **options: Unpack[PredictKeywords]) -> list[Detections]:
        """Find the objects of each image; the same as `predict`."""
        return self._predict(source, options)

    @spelled_out(PredictKeywords, PREDICT_DEFAULTS)
    def stream(self, source: Sources, **options: Unpack[PredictKeywords]) -> Iterator[Detections]:
        """Yield the objects of each image, one image after the other.

        A generator's images are asked for as they are needed. Detections of frames and of images in memory hold their
        pixels as `image`, so that `plot` can draw; a list of all of them holds all pixels.

        Args:
            source: as in `predict`; also a camera's number, or the address of a stream (rtsp, http, ...), whose frames
                come without an end.
            **options: as in `predict`.

        Raises:
            InputError: an image cannot be read, or `source` holds something that is not an image.
        """
        return self._stream(source, options)

"""Finding objects with a detector from Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from lehr.detections import Detections
from lehr.detections.wanted_classes import find_classes
from lehr.detector.for_python import python_spelling, require_known
from lehr.detector.loaded import DetectorBase
from lehr.errors import InputError
from lehr.models.network import Network
from lehr.prediction.frames import Frame
from lehr.prediction.half_precision import in_half_precision
from lehr.prediction.inputs import ImageSource, has_no_end
from lehr.prediction.options import PredictOptions
from lehr.prediction.pixels import is_one_image
from lehr.prediction.predictor import predict_batch, predict_images
from lehr.runtime.progress import progress

Sources: TypeAlias = ImageSource | Iterable[ImageSource]
NAMES = tuple(each.name for each in dataclasses.fields(PredictOptions))


class PredictionBase(DetectorBase):
    """The work of the methods that predict."""

    def frame_predictor(self, options: PredictOptions) -> Callable[[Sequence[Frame]], list[Detections]]:
        """Return what predicts the frames of a batch.

        Args:
            options: of prediction.

        Raises:
            InputError: the weights know no such class, or take no such image size.
        """
        network, resolved = self._resolved(options)
        return partial(predict_batch, network, options=resolved)

    def _predict(self, source: Sources, given: Mapping[str, Any]) -> list[Detections]:
        with python_spelling():
            if has_no_end(source):
                raise InputError(f"{source}: is a camera or a stream, which has no end. Use Detector.stream.")
            require_known("predict", given, NAMES)
            network, options = self._resolved(PredictOptions(**given))
            held = is_one_image(source) or isinstance(source, list | tuple)
            found = []
            with progress("prediction", None) as move:
                for each in predict_images(network, source, options, keep=lambda frame: held and frame.in_memory):
                    found.append(each)
                    move(len(found))
            return found

    def _stream(self, source: Sources, given: Mapping[str, Any]) -> Iterator[Detections]:
        with python_spelling():
            require_known("stream", given, NAMES)
            network, options = self._resolved(PredictOptions(**given))
        return self._streamed(network, source, options)

    def _streamed(self, network: Network, source: Sources, options: PredictOptions) -> Iterator[Detections]:
        with python_spelling():
            yield from predict_images(
                network, source, options, keep=lambda frame: frame.in_memory or frame.clip is not None
            )

    def _resolved(self, options: PredictOptions) -> tuple[Network, PredictOptions]:
        """The network that computes, and the options with the image size and the classes as it has them."""
        network = self._fused.of(self.network)
        wanted = find_classes(options.classes, network.names)
        options = dataclasses.replace(options, imgsz=self.image_size(options.imgsz), classes=wanted)
        return in_half_precision(network) if options.half else network, options

"""Finding objects with a detector from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lehr.augment.tile_grid import OVERLAP
from lehr.detections import Detections
from lehr.detections.wanted_classes import find_classes
from lehr.detector.loaded import DetectorBase
from lehr.errors import InputError
from lehr.evaluation.detection_options import check_detection_options
from lehr.prediction.half_precision import in_half_precision
from lehr.prediction.inputs import ImageSource, has_no_end
from lehr.prediction.predictor import predict_images
from lehr.runtime.progress import progress

if TYPE_CHECKING:
    pass


class PredictionMixin(DetectorBase):
    """Adds prediction to a detector."""

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
        found: list[Detections] = []
        stream = self.stream(
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
        with progress("prediction", None) as move:
            for detections in stream:
                found.append(detections)
                move(len(found))
        return found

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

"""The options of prediction, together and validated once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lehr.augment.tile_grid import OVERLAP
from lehr.evaluation.detection_options import check_detection_options


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Options of prediction, with the same names in Python and in the shell.

    `make options` writes them down as the keywords of `Detector.predict`.

    Raises:
        InputError: one is out of range or of another type.
    """

    imgsz: int | None = None
    """Longest side that the model sees, pixels, rounded up to a multiple of 32; None for that of the weights."""
    square: bool = False
    """Letterbox to squares instead of the smallest rectangle."""
    batch: int = 1
    """Images per step; with `tile`, tiles of one image."""
    conf: float = 0.25
    """Lowest score of a detection, 0 to below 1."""
    iou: float = 0.7
    """Overlap (IoU) from which the lower-scored of two boxes is suppressed, above 0 to 1."""
    max_det: int = 300
    """Maximum number of detections per image."""
    skip_broken: bool = False
    """Return an image that cannot be read without detections and with its `fault`, instead of raising."""
    tile: int | None = None
    """Side of the tiles that images are cut into, pixels; each is scaled to `imgsz`. None for whole images."""
    overlap: float = OVERLAP
    """Smallest share of a tile that the next one shows again, 0 to 0.9."""
    tta: bool = False
    """Test-time augmentation: look at each image, or tile, at three scales, once mirrored."""
    agnostic: bool = False
    """Let boxes of different classes suppress each other."""
    classes: Iterable[str | int] | str | int | None = None
    """Names or numbers of the classes to find; None for all."""
    half: bool = False
    """Compute in float16 on a device that is faster in it; a CPU stays at float32."""

    def __post_init__(self) -> None:
        check_detection_options(
            imgsz=self.imgsz,
            batch=self.batch,
            conf=self.conf,
            iou=self.iou,
            max_det=self.max_det,
            tile=self.tile,
            overlap=self.overlap,
        )
        if self.classes is not None and not isinstance(self.classes, str | int | tuple):
            object.__setattr__(self, "classes", tuple(self.classes))


DEFAULTS = PredictOptions()
"""The options where nothing is asked for."""

"""The objects found in an image, typed."""

from lehr.detections.detection import Detection
from lehr.detections.detections import Detections

__all__ = ["Detection", "Detections"]

"""The way in from Python."""

from lehr.detector.detector import Detector

__all__ = ["Detector"]

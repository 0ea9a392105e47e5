"""The way in from Python: a detector that trains, evaluates, predicts and exports, with the names of the shell."""

from __future__ import annotations

from lehr.detector.evaluating import EvaluationMixin
from lehr.detector.exporting import ExportMixin
from lehr.detector.predicting import PredictionMixin
from lehr.detector.training import TrainingMixin


class Detector(TrainingMixin, EvaluationMixin, PredictionMixin, ExportMixin):
    """A detector by its model's name, or with the weights of a file.

    Args:
        model: a model's name, e.g. "yolov8n", which knows nothing until it is trained; or a .safetensors file that Lehr
            wrote, e.g. "runs/train/best.safetensors", or a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP (.pt, .onnx); or
            weights on the Hugging Face Hub, "hf://owner/name"; or an export of Lehr's (.onnx, .pt2, the folder of an
            OpenVINO model), which evaluates and predicts alone.
        device: where the weights of a file are put: auto, cpu, cuda, mps or a CUDA index such as "0".

    Raises:
        InputError: there is no such model or device, or the file cannot be used.

    Examples:
        >>> from lehr import Detector
        >>> detector = Detector("yolov8n")
        >>> result = detector.train(data="shapes", epochs=20)
        >>> found = detector.predict("photo.jpg")[0]
        >>> boxes = found.to_supervision()
    """

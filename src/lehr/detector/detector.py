"""The way in from Python: a detector that trains, evaluates, predicts and exports, with the names of the shell."""

from __future__ import annotations

from lehr.detector.evaluating import EvaluationMixin
from lehr.detector.exporting import ExportMixin
from lehr.detector.keywords import KeywordMethods


class Detector(KeywordMethods, EvaluationMixin, ExportMixin):
    """A detector by its model's name, or with the weights of a file.

    Calling it predicts: `detector(image)` is `detector.predict(image)`.

    Args:
        model: a model's name, e.g. "yolov8n", which knows nothing until it is trained; or a .safetensors file that Lehr
            wrote, e.g. "runs/train/best.safetensors", or the folder of its run; or a checkpoint of YOLOv5, YOLOv8 or
            YOLOv3-SPP (.pt, .onnx); or weights on the Hugging Face Hub, "hf://owner/name"; or an export that Lehr wrote
            (.onnx, .pt2, the folder of an OpenVINO model), which only evaluates and predicts.
        device: where the weights are put, and trained: auto, cpu, cuda, mps or a CUDA index such as "0".
        depth: multiple of the blocks' repeats, of a model that is still to be trained; None for that of its name.
        width: multiple of the channels, likewise.

    Raises:
        InputError: there is no such model or device, or the file cannot be used.

    Examples:
        >>> from lehr import Detector
        >>> detector = Detector("yolov8n")
        >>> detector
        Detector(yolov8n, untrained)
        >>> result = detector.train(data="shapes", epochs=20)
        >>> found = detector("photo.jpg")[0]
        >>> file = found.save("found.jpg")
    """

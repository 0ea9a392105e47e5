"""A detector of two convolutions, as a model and in every format that is computed, written without an exporter."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lehr.models.detection import DetectionModel
from lehr.models.scale import Scale
from lehr.weights.export_metadata import KEY, ExportMetadata

SIDE, STRIDE, NAMES = 64, 32, ("small", "large")
CELLS = SIDE // STRIDE


@dataclasses.dataclass
class TinyPrediction:
    """Logits (batch, rows, 4 + classes) of each cell."""

    logits: Tensor

    def decode(self) -> tuple[Tensor, Tensor]:
        """Boxes around each cell's centre, and scores."""
        reach = self.logits[..., :4].sigmoid() * STRIDE * SIGNS
        return centres() + reach, self.logits[..., 4:].sigmoid()


SIGNS = torch.tensor([-1.0, -1, 1, 1])


def centres() -> Tensor:
    """Centres of the cells (rows, 4): x, y, x, y, pixels."""
    ys, xs = torch.meshgrid(*[(torch.arange(CELLS) + 0.5) * STRIDE] * 2, indexing="ij")
    return torch.stack((xs, ys, xs, ys), -1).flatten(0, 1)


class Tiny(DetectionModel):
    """Two convolutions with an activation between them."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__("tiny", NAMES, SIDE, Scale(1.0, 1.0))
        torch.manual_seed(seed)
        layers = nn.Conv2d(3, 8, 5, STRIDE, 2), nn.Sigmoid(), nn.Conv2d(8, 4 + len(NAMES), 1)
        self.model = nn.ModuleList(layers)
        for layer in (self.model[0], self.model[2]):
            layer.weight.data *= 4
        self.eval()

    def forward(self, images: Tensor) -> TinyPrediction:
        """Images (batch, 3, 64, 64)."""
        x = self.model[2](self.model[1](self.model[0](images)))
        return TinyPrediction(x.flatten(2).transpose(1, 2))


class Decoded(nn.Module):
    """A detector with its decoding, under the name that exporters give the model."""

    def __init__(self, detector: DetectionModel) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and scores."""
        return self.detector(images).decode()


def metadata(**changed: Any) -> ExportMetadata:
    """The metadata of an export of `Tiny`."""
    given = {
        "variant": "tiny",
        "names": NAMES,
        "imgsz": SIDE,
        "size": (SIDE, SIDE),
        "batch": None,
        "strides": (STRIDE,),
    }
    return ExportMetadata(**{**given, "lehr": "0", "torch": "0", **changed})


def onnx_model(model: Tiny, **changed: Any) -> Any:
    """The model in ONNX; `batch` of the metadata decides whether any number of images goes in."""
    import onnx
    from onnx import helper, numpy_helper

    about = metadata(**changed)
    first, last = model.model[0], model.model[2]
    tensors = {f"detector.{name}": value.numpy() for name, value in model.state_dict().items()}
    tensors |= {"signs": (SIGNS * STRIDE).numpy(), "centres": centres().numpy(), "shape": np.array([0, 6, -1])}
    tensors |= {"split": np.array([4, len(NAMES)])}
    node, weights = helper.make_node, ["detector.model.0.weight", "detector.model.0.bias"]
    nodes = [
        node("Conv", ["images", *weights], ["a"], strides=[STRIDE] * 2, pads=[2] * 4),
        node("Sigmoid", ["a"], ["b"]),
        node("Conv", ["b", "detector.model.2.weight", "detector.model.2.bias"], ["c"]),
        node("Reshape", ["c", "shape"], ["d"]),
        node("Transpose", ["d"], ["e"], perm=[0, 2, 1]),
        node("Split", ["e", "split"], ["f", "g"], axis=2),
        node("Sigmoid", ["f"], ["h"]),
        node("Mul", ["h", "signs"], ["i"]),
        node("Add", ["i", "centres"], ["boxes"]),
        node("Sigmoid", ["g"], ["scores"]),
    ]
    assert first.out_channels == 8 and last.out_channels == 6
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    batch = about.batch or "batch"
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("images", kind, [batch, 3, SIDE, SIDE])],
        [value("boxes", kind, [batch, CELLS**2, 4]), value("scores", kind, [batch, CELLS**2, len(NAMES)])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(made, {KEY: about.to_json()})
    return made


def write_onnx(model: Tiny, path: Path, **changed: Any) -> Path:
    """Write it for ONNX Runtime."""
    path.write_bytes(onnx_model(model, **changed).SerializeToString())
    return path


def write_openvino(model: Tiny, folder: Path, **changed: Any) -> Path:
    """Write it for OpenVINO."""
    import openvino

    source = write_onnx(model, folder.with_suffix(".onnx"), **changed)
    made = openvino.convert_model(source)
    made.set_rt_info(metadata(**changed).to_json(), [KEY])
    folder.mkdir()
    openvino.save_model(made, folder / "tiny.xml", compress_to_fp16=False)
    source.unlink()
    return folder


def write_program(model: Tiny, path: Path, **changed: Any) -> Path:
    """Write it as a program of torch."""
    about = metadata(**changed)
    shapes = None if about.batch else {"images": {0: torch.export.Dim("batch", min=1, max=4096)}}
    images = torch.zeros(about.batch or 2, 3, SIDE, SIDE)
    program = torch.export.export(Decoded(model), (images,), dynamic_shapes=shapes, strict=False)
    torch.export.save(program, path, extra_files={KEY: about.to_json()})
    return path

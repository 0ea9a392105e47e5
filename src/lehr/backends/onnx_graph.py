"""Exports for ONNX Runtime, which computes them on the CPU, or on CUDA where its package for that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lehr.backends.runtime import INPUT, LayerValues, module_of, require_cpu, required
from lehr.errors import InputError
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import read_file
from lehr.weights.export_metadata import KEY
from lehr.weights.published.onnx_file import MAX_FILE, OnnxFile, read_onnx_file
from lehr.weights.published.stand_in import Refused

GRAPHS_WITHIN = {"If", "Loop", "Scan", "SequenceMap"}
"""Operators that hold graphs of their own, which nothing here looks into, and no export of Lehr's has."""
CONVOLUTION = "Conv"
QUANTIZED = "DequantizeLinear"
ERRORS_ONLY = 3
"""Severity from which ONNX Runtime writes to the terminal."""


def read_metadata(path: Path) -> str | None:
    """The metadata of an export that Lehr wrote, as JSON; None for an export of anybody else.

    Raises:
        InputError: it cannot be read.
        Refused: it is damaged, or keeps tensors in other files.
    """
    return read_onnx_file(path).metadata.get(KEY)


class OnnxGraph:
    """An ONNX graph in ONNX Runtime.

    Args:
        path: the file, which holds all tensors.
        device: CPU or CUDA.

    Raises:
        InputError: it cannot be computed here.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        with required("ONNX Runtime", "onnx", path):
            import onnxruntime
        _check_operators(path, _opened(path))
        self.title = f"ONNX Runtime {onnxruntime.__version__}"
        self.device = device
        self._path = path
        self._session = self._open(read_file(path, MAX_FILE))

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the graph."""
        return tuple(torch.from_numpy(output).to(self.device) for output in self._run(self._session, images))

    def layers(self, images: Tensor) -> Iterator[LayerValues]:
        """The convolutions in their order; their inputs and outputs become further outputs of the graph."""
        import onnx
        from onnx import numpy_helper

        model = onnx.load_model_from_string(read_file(self._path, MAX_FILE))
        graph = model.graph
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        made_by = {name: node for node in graph.node for name in node.output}
        nodes = [node for node in graph.node if node.op_type == CONVOLUTION]
        of_graph = {value.name for value in (*graph.output, *graph.input)}
        wanted = dict.fromkeys(name for node in nodes for name in (node.input[0], node.output[0]))
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in of_graph)
        session = self._open(model.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        values = dict(zip(names, map(torch.from_numpy, self._run(session, images)), strict=True))
        values[INPUT] = images.cpu()
        for node in nodes:
            weight = node.input[1]
            while weight not in tensors and weight in made_by:  # quantized: behind the operator that undoes it
                weight = made_by[weight].input[0]
            held = tensors.get(weight) if weight == node.input[1] else None
            stored = None if held is None else torch.from_numpy(numpy_helper.to_array(held).copy())
            yield LayerValues(module_of(weight), values[node.input[0]], values[node.output[0]], stored)

    def _open(self, model: bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            return onnxruntime.InferenceSession(model, options, providers=[self._provider()])
        except Exception as error:  # of many types, none of which its library names
            raise InputError(f"{self._path}: ONNX Runtime refuses it ({one_line(str(error))[:300]}).") from None

    def _provider(self) -> str:
        import onnxruntime

        if self.device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            return "CUDAExecutionProvider"
        require_cpu(self.device, self._path, self.title)
        return "CPUExecutionProvider"

    def _run(self, session: Any, images: Tensor) -> list[Any]:
        try:
            found: list[Any] = session.run(None, {INPUT: images.cpu().numpy()})
        except Exception as error:  # likewise
            raise InputError(f"{self._path}: ONNX Runtime fails ({one_line(str(error))[:300]}).") from None
        return found


def _opened(path: Path) -> OnnxFile:
    try:
        return read_onnx_file(path)
    except Refused as error:
        raise InputError(f"{path}: {error}") from None


def _check_operators(path: Path, file: OnnxFile) -> None:
    within = sorted(file.operators & GRAPHS_WITHIN)
    if within:
        raise InputError(f"{path}: has the operator {within[0]}, which no export of Lehr's has, and is not computed.")

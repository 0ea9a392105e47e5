"""Opening an export that Lehr wrote, whatever its format."""

from __future__ import annotations

from pathlib import Path

import torch

from lehr.backends.exported_network import ExportedNetwork
from lehr.backends.onnx_graph import OnnxGraph, read_metadata
from lehr.backends.openvino_model import OpenvinoModel, find_graph
from lehr.backends.runtime import Runtime
from lehr.backends.torch_program import TorchProgram
from lehr.errors import InputError
from lehr.runtime.device import DeviceName, pick_device
from lehr.runtime.reading import read_start
from lehr.weights.export_metadata import ExportMetadata, parse_export_metadata
from lehr.weights.published.stand_in import Refused

ONNX, OPENVINO, TORCH = "onnx", "openvino", "torch"
"""Names of the formats that are computed here."""
COMPUTED = frozenset((ONNX, OPENVINO, TORCH))
"""All of them."""
SUFFIXES = {".onnx": ONNX, ".xml": OPENVINO, ".pt2": TORCH}
ELSEWHERE = {
    ".pte": "is an ExecuTorch program, which is computed on phones and boards, not here",
    ".mlpackage": "is a Core ML model, which macOS and iOS compute, and nothing here",
}
"""Formats that are written and not computed, by their ending."""


def open_export(path: Path, device: DeviceName = "auto") -> ExportedNetwork | None:
    """Open an export that Lehr wrote.

    Args:
        path: a file, or the folder of an OpenVINO model.
        device: auto, cpu, cuda or a CUDA index such as "0"; auto is the CPU for runtimes that have no other.

    Returns:
        None for what is not an export that Lehr wrote: weights, or ONNX exports of others, whose weights can be read.

    Raises:
        InputError: it is damaged, its metadata are missing or wrong, or its runtime is missing or refuses it.
    """
    graph = find_graph(path)
    if graph is not None:
        model = OpenvinoModel(path, graph, _cpu_unless_named(device))
        return ExportedNetwork(path, OPENVINO, _parsed(path, model.metadata), model)
    suffix = path.suffix.lower()
    if suffix in ELSEWHERE and path.exists():
        raise InputError(f"{path}: {ELSEWHERE[suffix]}. Give another export, or the weights.")
    if not path.is_file():
        return None
    if SUFFIXES.get(suffix) == TORCH:
        program = TorchProgram(path, pick_device(device))
        return ExportedNetwork(path, TORCH, _parsed(path, program.metadata), program)
    if SUFFIXES.get(suffix) != ONNX or not read_start(path, 1):
        return None
    try:
        text = read_metadata(path)
    except Refused:
        return None
    if text is None:
        return None
    runtime: Runtime = OnnxGraph(path, _cpu_unless_named(device))
    return ExportedNetwork(path, ONNX, _parsed(path, text), runtime)


def _parsed(path: Path, text: str | None) -> ExportMetadata:
    """The metadata of an export, checked.

    Raises:
        InputError: there are none, or they cannot be used.
    """
    if text is None:
        raise InputError(f"{path}: has no metadata of Lehr's, so model and classes are unknown. Export it with Lehr.")
    try:
        return parse_export_metadata(text)
    except ValueError as error:
        raise InputError(f"{path}: its metadata cannot be used: {error}. Export it again.") from None


def _cpu_unless_named(device: DeviceName) -> torch.device:
    """The device that is named; the CPU where none is."""
    return torch.device("cpu") if device in (None, "auto") else pick_device(device)

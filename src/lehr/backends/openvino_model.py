"""Exports for OpenVINO: a folder with a graph (.xml) and its numbers (.bin)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lehr.backends.runtime import LayerValues, module_of, require_cpu, required
from lehr.errors import InputError
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import GIB, MIB, TooLarge, read_file
from lehr.weights.export_metadata import KEY

GRAPH, NUMBERS = ".xml", ".bin"
MAX_GRAPH, MAX_NUMBERS = 64 * MIB, 2 * GIB
CONVOLUTIONS = ("Convolution",)


def find_graph(path: Path) -> Path | None:
    """The graph of an OpenVINO export: the file itself, or the only one in a folder; None for anything else."""
    if path.suffix.lower() == GRAPH and path.with_suffix(NUMBERS).is_file():
        return path
    if not path.is_dir():
        return None
    found = [each for each in sorted(path.glob(f"*{GRAPH}")) if each.with_suffix(NUMBERS).is_file()]
    return found[0] if len(found) == 1 else None


class OpenvinoModel:
    """An OpenVINO model on the CPU.

    Args:
        path: its folder.
        graph: its graph, next to its numbers.
        device: the CPU.

    Raises:
        InputError: it cannot be computed here.
    """

    def __init__(self, path: Path, graph: Path, device: torch.device) -> None:
        with required("OpenVINO", "openvino", path):
            import openvino
        self.title = f"OpenVINO {openvino.__version__.split('-')[0]}"
        self.device = device
        self._path = path
        require_cpu(device, path, self.title)
        try:
            self._files = read_file(graph, MAX_GRAPH), read_file(graph.with_suffix(NUMBERS), MAX_NUMBERS)
        except TooLarge as error:
            raise InputError(f"{graph}: {error.strerror}.") from None
        except OSError as error:
            raise InputError(f"{graph}: cannot be read ({error.strerror}).") from None
        self._model = self._read()
        self._compiled = self._compile(self._model)

    @property
    def metadata(self) -> str | None:
        """The metadata of an export that Lehr wrote, as JSON; None for a model of anybody else."""
        try:
            return str(self._model.get_rt_info([KEY]).astype(str))
        except Exception:  # there is none
            return None

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the graph."""
        return tuple(self._run(self._compiled, images))

    def layers(self, images: Tensor) -> Iterator[LayerValues]:
        """The convolutions in their order; their inputs and outputs become further outputs of the graph."""
        model = self._read()
        nodes = [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]
        count = len(model.outputs)
        sources = {_key(source): source for node in nodes for source in (node.input_value(0), _biased(node))}
        for source in sources.values():
            model.add_outputs([source])
        values = dict(zip(sources, self._run(self._compile(model), images)[count:], strict=True))
        for node in nodes:
            name, weight = self._weight(node)
            layer = str(node.get_friendly_name()).partition("/")[0]  # quantized weights have lost their names
            name = layer if layer.startswith("model.") else name
            taken, given = values[_key(node.input_value(0))], values[_key(_biased(node))]
            yield LayerValues(module_of(name), taken, given, weight)

    def _weight(self, node: Any) -> tuple[str, Tensor | None]:
        """Name and numbers of a convolution's weight; None for those of a type that is converted or quantized."""
        source = node.input_value(1).get_node()
        direct = True
        while source.get_type_name() != "Constant":
            source, direct = source.input_value(0).get_node(), False
        name = str(source.get_friendly_name())
        return name, torch.from_numpy(source.data.copy()) if direct else None

    def _read(self) -> Any:
        import openvino

        try:
            return openvino.Core().read_model(*self._files)
        except Exception as error:  # of many types, none of which its library names
            raise InputError(f"{self._path}: OpenVINO refuses it ({one_line(str(error))[:300]}).") from None

    def _compile(self, model: Any) -> Any:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else float32 becomes bfloat16 where the CPU has it
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        try:
            return openvino.Core().compile_model(model, "CPU", settings)
        except Exception as error:  # likewise
            raise InputError(f"{self._path}: OpenVINO refuses it ({one_line(str(error))[:300]}).") from None

    def _run(self, compiled: Any, images: Tensor) -> list[Tensor]:
        try:
            found = compiled(images.numpy())
        except Exception as error:  # likewise
            raise InputError(f"{self._path}: OpenVINO fails ({one_line(str(error))[:300]}).") from None
        return [torch.from_numpy(found[index].copy()) for index in range(len(compiled.outputs))]


def _biased(node: Any) -> Any:
    """The output of a convolution with its bias, which OpenVINO adds in a separate node."""
    following = [each.get_node() for each in node.output(0).get_target_inputs()]
    if len(following) == 1 and following[0].get_type_name() == "Add":
        others = [value.get_node() for value in following[0].input_values() if value.get_node() != node]
        while others and others[0].get_type_name() == "Convert":
            others = [others[0].input_value(0).get_node()]
        if others and others[0].get_type_name() == "Constant":
            return following[0].output(0)
    return node.output(0)


def _key(source: Any) -> tuple[str, int]:
    """Node and number of an output."""
    return source.get_node().get_name(), source.get_index()

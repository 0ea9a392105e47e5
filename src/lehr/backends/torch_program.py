"""Exports as programs of `torch.export` (.pt2), computed by torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lehr.backends.program_archive import read_program
from lehr.backends.runtime import LayerValues, module_of
from lehr.errors import InputError
from lehr.runtime.plain_text import one_line
from lehr.weights.export_metadata import KEY

CONVOLUTIONS = ("aten.conv2d.default", "aten.convolution.default")


class TorchProgram:
    """A program of `torch.export`.

    Args:
        path: the file.
        device: where it computes.

    Raises:
        InputError: it cannot be computed here, or holds what is not computed.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self.title = f"torch {torch.__version__.split('+')[0]}"
        self.device = device
        self._path = path
        archive, extras = read_program(path)
        self.metadata = extras.get(KEY)
        try:
            with _quiet():
                program = torch.export.load(archive)
                if device.type != "cpu":
                    from torch.export.passes import move_to_device_pass

                    program = move_to_device_pass(program, device)
                self._module = program.module(check_guards=False)
        except Exception as error:  # of many types, none of which torch names
            raise InputError(f"{path}: torch refuses it ({one_line(str(error))[:300]}). Export it again.") from None
        self._weights = {**program.graph_signature.inputs_to_parameters, **program.graph_signature.inputs_to_buffers}

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the program."""
        try:
            found = self._module(images)
        except Exception as error:  # likewise
            raise InputError(f"{self._path}: torch fails ({one_line(str(error))[:300]}).") from None
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    def layers(self, images: Tensor) -> Iterator[LayerValues]:
        """The convolutions in their order, as the program is interpreted node by node."""
        seen: list[LayerValues] = []

        class Watching(torch.fx.Interpreter):
            """Keeps what goes into convolutions, and what comes out."""

            def run_node(self, n: torch.fx.Node) -> Any:
                given = super().run_node(n)
                if n.op == "call_function" and str(n.target) in CONVOLUTIONS:
                    taken, weight = (self.env[each] for each in n.args[:2] if isinstance(each, torch.fx.Node))
                    name = str(getattr(n.args[1], "target", n.args[1]))
                    seen.append(LayerValues(module_of(name), taken.clone(), given.clone(), weight.detach()))
                return given

        watching = Watching(self._module)
        watching.garbage_collect_values = False
        watching.run(images)
        yield from seen


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's notes on what it reads off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch._export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

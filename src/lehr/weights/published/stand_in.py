"""Records that stand for what a checkpoint of another trainer names: none of it is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class Refused(ValueError):
    """A file that is not read; the text says why, to be put behind the file's name."""


@dataclass(frozen=True, slots=True)
class Name:
    """Name of a class or function in a file, which is not looked up.

    Attributes:
        text: module and name, e.g. `torch.nn.modules.conv.Conv2d`.
    """

    text: str

    def __repr__(self) -> str:
        return self.text


@dataclass(eq=False, slots=True)
class StandIn:
    """Record of an object in a file: what it was made of, as plain data.

    Attributes:
        name: module and name of its class, e.g. `ultralytics.nn.tasks.DetectionModel`.
        args: arguments that it was made with; mostly none.
        state: its attributes by name, or whatever else its class keeps; None if the file gives none.
        items: entries of an object that is a list or a dictionary besides; None if there are none.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] | dict[Any, Any] | None = field(default=None)

    @property
    def kind(self) -> str:
        """Name of its class without the module, e.g. `Conv2d`."""
        return self.name.rpartition(".")[2]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes by name; empty if its state is something else."""
        state = self.state
        if isinstance(state, tuple) and len(state) == 2 and all(part is None or type(part) is dict for part in state):
            return {**(state[0] or {}), **(state[1] or {})}  # an object with slots
        return state if type(state) is dict else {}

    def get(self, name: str, otherwise: Any = None) -> Any:
        """Return an attribute, or a parameter, buffer or module of this name; `otherwise` if there is none."""
        attributes = self.attributes
        if name in attributes:
            return attributes[name]
        for group in ("_parameters", "_buffers", "_modules"):
            held = attributes.get(group)
            if type(held) is dict and name in held:
                return held[name]
        return otherwise

    @property
    def modules(self) -> dict[str, Any]:
        """Its modules by name; empty if it is not a `torch.nn.Module`."""
        held = self.attributes.get("_modules")
        return held if type(held) is dict else {}

    def tensors(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Go through names and values of its parameters and buffers, those of its modules too, as `state_dict` does.

        Args:
            prefix: of all names, e.g. `model.`.
        """
        attributes = self.attributes
        left_out = attributes.get("_non_persistent_buffers_set", ())
        for group in ("_parameters", "_buffers"):
            held = attributes.get(group)
            for name, value in held.items() if type(held) is dict else ():
                if value is not None and not (group == "_buffers" and name in left_out):
                    yield f"{prefix}{name}", value
        for name, module in self.modules.items():
            if isinstance(module, StandIn):
                yield from module.tensors(f"{prefix}{name}.")

    def __repr__(self) -> str:
        return f"<{self.name} of a file>"

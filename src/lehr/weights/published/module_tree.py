"""A pickled model as it was read: its layers by path, their settings, and the tensors that they hold.

Nothing here is a module of torch: each layer is an inert record (`StandIn`) of the class that it was saved as, whose
state is what the file says. The paths and names are those that `torch.nn.Module.named_modules` and `state_dict` give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from lehr.weights.published.stand_in import Refused, StandIn

WRAPPED = ("module", "_orig_mod", "model", "ema")
"""Names under which one model holds another: of data-parallel training, compiled models, and models with settings."""
MAX_LAYERS = 20_000
"""Of a model: several times those of the largest detector."""


def named_layers(root: StandIn) -> dict[str, StandIn]:
    """The layers of a model by path, e.g. "2.m.0.cv1.conv"; "" is the model itself.

    Raises:
        Refused: they are too many.
    """
    found: dict[str, StandIn] = {}
    waiting = [("", root)]
    while waiting:  # ends, since what a file holds is read as a tree
        path, module = waiting.pop()
        if len(found) >= MAX_LAYERS:
            raise Refused(f"holds a model of more than {MAX_LAYERS} layers, as no detector has.")
        found[path] = module
        inner = [(name, child) for name, child in module.modules.items() if isinstance(child, StandIn)]
        waiting += [(f"{path}.{name}" if path else str(name), child) for name, child in reversed(inner)]
    return found


def tensors_of(layers: Mapping[str, StandIn]) -> dict[str, Tensor]:
    """The parameters and persistent buffers of layers, by the names of a state dictionary.

    Args:
        layers: by path.
    """
    found: dict[str, Tensor] = {}
    for path, module in layers.items():
        passing = module.attributes.get("_non_persistent_buffers_set")
        left_out = passing if isinstance(passing, set) else set()
        for table in ("_parameters", "_buffers"):
            held = module.attributes.get(table)
            for name, tensor in held.items() if isinstance(held, dict) else ():
                if isinstance(tensor, Tensor) and not (table == "_buffers" and name in left_out):
                    found[f"{path}.{name}" if path else str(name)] = tensor.detach()
    return found


def inner_models(root: StandIn) -> Iterator[tuple[str, StandIn]]:
    """A model, and those that it wraps, outermost first, with the path of each.

    The last one is what holds the layers by number.
    """
    path, module = "", root
    while True:
        yield path, module
        modules = module.modules
        tables = (modules, module.attributes)
        inner = next(
            ((name, held[name]) for held in tables for name in WRAPPED if isinstance(held.get(name), StandIn)), None
        )
        if inner is None or any(str(name).isdigit() for name in modules):
            return
        path, module = (f"{path}.{inner[0]}" if path else inner[0]), inner[1]

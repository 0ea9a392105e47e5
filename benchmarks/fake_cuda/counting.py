"""Operations on fake CUDA tensors, counted stage by stage; a wait of the host or a wrong device raises an error."""

from __future__ import annotations

import contextlib
import functools
import traceback
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

FREE = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "permute", "transpose", "t", "select", "slice"),
    *("unsqueeze", "squeeze", "as_strided", "detach", "alias", "split", "split_with_sizes", "unbind", "chunk"),
    *("diagonal", "unfold", "lift_fresh", "set_", "is_pinned", "empty", "empty_like", "empty_strided", "new_empty"),
    *("new_empty_strided", "prim::device", "record_stream"),
}
"""Operations that launch nothing."""
WAITS = {
    *("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal"),
    *("unique_dim", "_unique2", "unique_consecutive"),
}
"""Operations whose result the host reads, or whose shape depends on the data."""
COPIES = ("_to_copy", "copy", "_foreach_copy")


class HostWait(AssertionError):
    """The host waits for the device."""


class DeviceMismatch(AssertionError):
    """Tensors of different devices meet."""


@dataclass(slots=True)
class Stage:
    """Work of the device in a stage of a step.

    Attributes:
        launches: operations other than views; a foreach operation, or both gradients of a convolution, count as one.
        bytes: bytes of the tensors that they read and write, each tensor of an operation once.
        flops: FLOPs of convolutions and matrix products.
        peak: most bytes that are alive at once, weights included.
        operations: launches by name.
        moved: bytes by name.
        work: bytes and FLOPs of each launch.
    """

    launches: int = 0
    bytes: int = 0
    flops: int = 0
    peak: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    work: list[tuple[int, int]] = field(default_factory=list)

    def add(self, name: str, size: int, flops: int) -> None:
        """Count a launch."""
        self.launches += 1
        self.bytes += size
        self.flops += flops
        self.operations[name] += 1
        self.moved[name] += size
        self.work.append((size, flops))

    def join(self, other: Stage) -> None:
        """Add the work that follows in the same stage."""
        self.launches += other.launches
        self.bytes += other.bytes
        self.flops += other.flops
        self.peak = max(self.peak, other.peak)
        self.operations += other.operations
        self.moved += other.moved
        self.work += other.work


class Counting(TorchDispatchMode):
    """Counts launches while it is entered, within a `FakeTensorMode`.

    Args:
        held: tensors that already exist, such as weights.

    Attributes:
        stages: work counted so far, by the name of the stage.
        current: the instance that is entered; kernels that are not operations of torch report to it.
    """

    current: Counting | None = None

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.stages: dict[str, Stage] = {}
        self._since = Stage()
        self._alive = 0
        self._known: set[int] = set()
        for tensor in held:
            self._hold(tensor)

    def __enter__(self) -> Self:
        Counting.current = self
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        Counting.current = None

    def mark(self, stage: str) -> None:
        """Count the work since the last mark as that of a stage."""
        self.stages.setdefault(stage, Stage()).join(self._since)
        self._since = Stage(peak=self._alive)

    def launch(self, name: str, tensors: Sequence[Tensor], flops: int = 0) -> None:
        """Count a launch that reads or writes some tensors."""
        once = {id(tensor): tensor for tensor in tensors}
        self._since.add(name, sum(map(size_of, once.values())), flops)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.removeprefix("aten::")
        name = name if name == "set_" else name.rstrip("_")
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        _check_devices(name, given, args, kwargs)
        on_device = any(tensor.device.type == "cuda" for tensor in given)
        if on_device and name in WAITS:
            raise HostWait(f"{name}{place()}")
        if _is_composite(func):
            with self._again():
                return func.decompose(*args, **kwargs)
        try:
            out = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise HostWait(f"{name}{place()}") from error
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for tensor in made:
            self._hold(tensor)
        tensors = [*given, *made]
        if name not in FREE and any(tensor.device.type == "cuda" for tensor in tensors):
            packet = func._overloadpacket
            flops = flop_registry[packet](*args, **kwargs, out_val=out) if packet in flop_registry else 0
            self.launch(name, tensors, flops)
        return out

    @contextlib.contextmanager
    def _again(self) -> Iterator[None]:
        super().__enter__()
        try:
            yield
        finally:
            super().__exit__(None, None, None)

    def _hold(self, tensor: Tensor) -> None:
        """Count the memory of a tensor for as long as it exists."""
        if tensor.device.type != "cuda":
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self._alive += size
        self._since.peak = max(self._since.peak, self._alive)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size


@functools.cache
def _is_composite(func: Any) -> bool:
    """Return whether an operation consists of others: in inference mode, these arrive undivided."""
    if func.namespace != "aten":  # others may be unknown to the dispatcher
        return False
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return has(func.name(), "CompositeImplicitAutograd") and not has(func.name(), "CUDA")


def size_of(tensor: Tensor) -> int:
    """Bytes that hold a tensor's values: an expanded axis counts once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= 1 if stride == 0 else size
    return count * tensor.element_size()


def check_one_device(name: str, tensors: Sequence[Tensor]) -> None:
    """Check that tensors are on one device; with CUDA tensors, only single numbers may be on the CPU.

    Raises:
        DeviceMismatch: they are not.
    """
    devices = {tensor.device for tensor in tensors if tensor.device.type != "cpu" or tensor.dim()}
    if len(devices) > 1:
        raise DeviceMismatch(f"{name} of {', '.join(sorted(map(str, devices)))}{place()}")


def _check_devices(name: str, given: Sequence[Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if name not in COPIES:
        if not all(isinstance(tensor, FakeTensor) or tensor.device.type == "cpu" for tensor in given):
            raise DeviceMismatch(f"{name} of a real tensor{place()}")
        check_one_device(name, given)
        return
    devices = {tensor.device.type for tensor in given} | ({kwargs["device"].type} if kwargs.get("device") else set())
    behind = kwargs.get("non_blocking") or (name != "_to_copy" and len(args) > 2 and args[2])
    if len(devices) > 1 and "cuda" in devices and not behind:
        raise HostWait(f"{name} between host and device{place()}")


def place() -> str:
    """Return the running line of Lehr's code, as text; in a backward pass there may be none."""
    frames = [frame for frame in traceback.extract_stack() if "/lehr/" in frame.filename]
    return f" at {frames[-1].filename.rpartition('/lehr/')[2]}:{frames[-1].lineno}" if frames else ""

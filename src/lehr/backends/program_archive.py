"""Programs of `torch.export` (.pt2) made safe: checked against lists, and what they need not hold taken out.

`torch.export.load` believes a file: it unpickles inputs and weights, evaluates symbolic sizes and guards as Python, and
looks names up in modules. So it never sees the file, but an archive in memory that is written of what was checked:
operators of a list, sizes of a grammar, numbers as bytes; no pickles, no guards, no notes of nodes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from lehr.errors import InputError
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import GIB, MIB, TooLarge, read_file
from lehr.runtime.stored_zip import DamagedArchive, Entry, list_entries

MAX_FILE, MAX_JSON, MAX_PARTS = 4 * GIB, 64 * MIB, 4_000_000
"""Bytes of a file and of a JSON within; values of a JSON."""
MODEL, INPUTS = "models/model.json", "data/sample_inputs/model.pt"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
NUMBERS = re.compile(r"data/(?:weights/weight|constants/tensor)_\d{1,6}")
REST = re.compile(r"archive_format|archive_version|byteorder|\.data/(?:version|serialization_id)")
EXTRA = "extra/"
LONGEST_SIZE = 20_000
"""Characters of a symbolic size."""
SIZE = re.compile(
    r"(?>Symbol\('[su]\d{1,6}', positive=True, integer=True\)|Symbol\('[su]\d{1,6}', integer=True\)"
    r"|(?:Add|Mul|FloorDiv|Mod|Max|Min|CeilDiv|Eq|Ne|Lt|Le|Gt|Ge|StrictLessThan|LessThan|StrictGreaterThan"
    r"|GreaterThan|Equality|Unequality|PythonMod|CleanDiv)(?=\()|Integer\(-?\d{1,12}\)|[su]\d{1,6}|-?\d{1,12}"
    r"|true|false|[(), ])++"
)
"""Grammar of symbolic sizes: sums, products, quotients and comparisons of whole numbers and symbols."""
TYPES = {"builtins.tuple", "builtins.list", "builtins.dict", None}
"""Containers of inputs and outputs."""
FORBIDDEN = {"as_custom_obj", "as_graph", "as_operator", "as_custom_class", "as_complex"}
"""Kinds of arguments that are more than numbers, texts and tensors."""
SYMBOLIC = {f"_operator.{name}" for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "truediv", "getitem")}
SYMBOLIC |= {f"_operator.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_")}
SYMBOLIC |= {f"torch.{name}" for name in ("sym_max", "sym_min", "sym_int", "sym_float", "sym_not", "sym_ite")}
OPERATORS = frozenset(
    """
    _assert_scalar _assert_tensor_metadata _to_copy abs add alias amax amin any all arange argmax argmin
    argsort avg_pool2d batch_norm _native_batch_norm_legit_no_training bitwise_and bitwise_not bitwise_or bmm
    broadcast_to cat ceil chunk clamp clamp_max clamp_min clone concat constant_pad_nd contiguous conv2d
    convolution copy cumsum detach detach_ div dropout empty empty_like eq exp expand eye flatten flip floor
    floor_divide full full_like gather ge gt hardtanh index index_put index_select interpolate leaky_relu
    lift_fresh_copy linear log logical_and logical_not logical_or lt le masked_fill masked_select matmul max
    max_pool2d max_pool2d_with_indices maximum mean meshgrid min minimum mm mul narrow ne neg new_full
    new_ones new_zeros nonzero ones ones_like pad permute pow prod reciprocal relu repeat repeat_interleave
    reshape rsqrt rsub scalar_tensor scatter select sigmoid silu slice slice_scatter softmax _softmax sort
    split split_with_sizes sqrt squeeze stack sub sum sym_size sym_numel sym_constrain_range
    sym_constrain_range_for_size t tanh tile to topk transpose tril triu unbind unflatten unfold unsqueeze
    upsample_nearest2d _upsample_nearest_exact2d view view_as _unsafe_view where zeros zeros_like item
    _local_scalar_dense nan_to_num
    """.split()  # noqa: SIM905 (a hundred lines otherwise)
)
"""Operators of torch that a detector computes with; none opens a file, draws, or calls anything."""
TARGET = re.compile(r"torch\.ops\.aten\.([A-Za-z0-9_]+)\.[A-Za-z0-9_]+")


def read_program(path: Path) -> tuple[io.BytesIO, dict[str, str]]:
    """Read a program of `torch.export`, checked.

    Args:
        path: the file.

    Returns:
        An archive that `torch.export.load` may read, and the further texts of the file by name.

    Raises:
        InputError: it cannot be read, is none, or holds what is not on the lists.
    """
    data = _read(path)
    try:
        entries = list_entries(lambda offset, count: bytes(data[offset : offset + count]), len(data))
        return _rewritten(data, entries)
    except (DamagedArchive, _Refused) as error:
        raise InputError(f"{path}: {error}") from None


class _Refused(ValueError):
    """A program that is not computed; the text says why, to be put behind the file's name."""


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_FILE)
    except TooLarge as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def _rewritten(data: bytes, entries: dict[str, Entry]) -> tuple[io.BytesIO, dict[str, str]]:
    """An archive of what was checked, and the texts next to it."""
    folders = {name.partition("/")[0] for name in entries}
    parts = {name.partition("/")[2]: entry for name, entry in entries.items()}
    if len(folders) != 1 or MODEL not in parts:
        raise _Refused("is not a program of torch.export. Give an export of Lehr's.")
    written, extras = io.BytesIO(), {}
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, entry in parts.items():
            if name.startswith(EXTRA):
                extras[name.removeprefix(EXTRA)] = _text(data, entry)
                continue
            archive.writestr(f"program/{name}", _checked_part(name, data, entry))
    written.seek(0)
    return written, extras


def _checked_part(name: str, data: bytes, entry: Entry) -> bytes:
    """A part of a program as it is handed on."""
    if name == INPUTS:
        return b""  # pickled, and not needed
    if name == MODEL:
        return json.dumps(_checked_model(_json(data, entry))).encode()
    if name in CONFIGS:
        return json.dumps(_checked_config(_json(data, entry))).encode()
    if (NUMBERS.fullmatch(name) and entry.length) or REST.fullmatch(name):
        return _bytes(data, entry)
    raise _Refused(f"holds '{one_line(name)[:100]}', which no export of Lehr's has, and is not computed.")


def _checked_model(model: Any) -> Any:
    """The graph, without guards and notes, if all in it is on the lists."""
    try:
        model["guards_code"] = []  # Python, which would be run
        for node in model["graph_module"]["graph"]["nodes"]:
            _check_operator(node["target"])
            node["metadata"] = {}  # names that would be looked up
        for call in model["graph_module"]["module_call_graph"]:
            for name in ("in_spec", "out_spec"):
                if call["signature"] is not None:
                    _check_containers(call["signature"][name])
    except (KeyError, TypeError, AttributeError):
        raise _Refused("is damaged: its graph is not as torch.export writes it. Export it again.") from None
    _check_values(model)
    return model


def _check_operator(target: Any) -> None:
    found = TARGET.fullmatch(target) if isinstance(target, str) else None
    if target not in SYMBOLIC and (found is None or found[1] not in OPERATORS):
        raise _Refused(
            f"computes with {one_line(str(target))[:100]}, which is not among the operators of detectors, and is "
            "not run. Export it with Lehr."
        )


def _check_containers(text: Any) -> None:
    """Refuse inputs and outputs in anything but tuples, lists and dictionaries."""
    stack = [json.loads(text)] if isinstance(text, str) and len(text) < MAX_JSON else [{"type": "?"}]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            context = value.get("context")
            if value.get("type") not in TYPES or context not in (None, "null", "[]"):
                raise _Refused("has inputs or outputs of a type of its own, and is not run. Export it with Lehr.")
            stack.append(value.get("children_spec", []))


def _check_values(model: Any) -> None:
    """Refuse arguments that are more than numbers, texts and tensors, and sizes that are not sums and products."""
    stack, left = [model], MAX_PARTS
    while stack:
        left -= 1
        value = stack.pop()
        if left < 0:
            raise _Refused("is a program of more parts than a detector has.")
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            _check_keys(value)
            stack += value.values()


def _check_keys(value: dict[str, Any]) -> None:
    wrong = next(iter(FORBIDDEN & value.keys()), None)
    if wrong is not None:
        raise _Refused(f"has an argument of the kind '{wrong}', which no export of Lehr's has, and is not run.")
    size = value.get("expr_str", "0")
    if not isinstance(size, str) or len(size) > LONGEST_SIZE or SIZE.fullmatch(size) is None:
        raise _Refused(f"has the symbolic size {one_line(str(size))[:100]}, which is not evaluated.")


def _checked_config(config: Any) -> Any:
    """The list of a program's numbers, if none of them is pickled."""
    try:
        for each in config["config"].values():
            if each["use_pickle"] is not False or not re.fullmatch(r"(weight|tensor)_\d{1,6}", each["path_name"]):
                raise _Refused("holds pickled tensors or objects, and is not run. Export it with Lehr.")
    except (KeyError, TypeError, AttributeError):
        raise _Refused(
            "is damaged: the list of its weights is not as torch.export writes it. Export it again."
        ) from None
    _check_values(config)
    return config


def _json(data: bytes, entry: Entry) -> Any:
    try:
        return json.loads(_text(data, entry))
    except (ValueError, RecursionError):
        raise _Refused("is damaged: a part of it is not JSON. Copy it again.") from None


def _text(data: bytes, entry: Entry) -> str:
    if entry.length > MAX_JSON:
        raise _Refused(f"has a text of {entry.length} bytes, more than a detector has.")
    return _bytes(data, entry).decode(errors="replace")


def _bytes(data: bytes, entry: Entry) -> bytes:
    found = data[entry.start : entry.start + entry.length]
    if not entry.fits(found):
        raise _Refused("is damaged: the checksum of a part of it differs. Copy it again.")
    return found

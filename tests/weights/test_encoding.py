"""Files of weights are encoded to the bytes that the safetensors library writes."""

from __future__ import annotations

import torch
from safetensors.torch import save

from lehr.weights.safetensors_file import ITEM_SIZES, ORDER, sort_metadata
from lehr.weights.tensor_file import DTYPES
from lehr.weights.write import encode_weights


def test_tensors_of_each_type_and_shape_are_written_as_the_library_writes_them() -> None:
    assert set(ORDER) == set(ITEM_SIZES) == set(DTYPES)
    tensors = {}
    for place, letter in enumerate("zéb"):
        for kind, dtype in DTYPES.items():
            tensors[f"{letter}.{kind}"] = torch.arange(6 * place).reshape(place, 6).to(dtype)  # the first is empty
            tensors[f"{letter}0.{kind}"] = torch.ones((), dtype=dtype)
    metadata = {"b": "2", "a": "ü"}
    turned = {**tensors, "turned": torch.arange(6.0).reshape(2, 3).T}
    expected = {**tensors, "turned": turned["turned"].contiguous()}
    assert b"".join(encode_weights(turned, metadata)) == b"".join(sort_metadata(save(expected, metadata)))

"""Memory that runs out before or in the check of the precision halves its images; it does not end the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import MakeYolo
from tests.engine.runs import SMALL

from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.engine.setup import prepare

NO_MEMORY = {
    "allocator": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.26 GiB."),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    "cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
}
STAGES = {"copied and drawn on the device": "to", "turned into float32": "normalized"}


@pytest.mark.parametrize(
    ("stage", "of"), [(next(iter(STAGES)), "allocator"), *(("turned into float32", of) for of in NO_MEMORY)]
)
def test_a_shortage_halves_the_images_of_the_check(
    stage: str, of: str, make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(Batch, STAGES[stage])

    def limited(self: Batch, *args: Any) -> Any:
        if len(self) > 2:
            raise NO_MEMORY[of]
        return original(self, *args)

    monkeypatch.setattr(Batch, STAGES[stage], limited)
    data = make_yolo(counts={"train": 4, "val": 2})
    (tmp_path / "run").mkdir()
    made = prepare(build_config({**SMALL, "data": str(data), "amp": "bf16"}), tmp_path / "run")
    assert any(note.startswith("Precision check of bfloat16 on 2 images ") for note in made.notes), made.notes

"""The operator that is loaded without torchvision suppresses as torchvision does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.processes import Forked, print_modules
from torchvision.ops import batched_nms

from lehr.evaluation import torchvision_nms
from lehr.evaluation.torchvision_nms import BY_CLASS_FROM, nms_by_class


@pytest.mark.parametrize("count", [0, 1, 300, BY_CLASS_FROM, BY_CLASS_FROM + 1, 3000])
@pytest.mark.parametrize("iou", [0.3, 0.7])
def test_it_equals_torchvision_to_the_order(count: int, iou: float) -> None:
    rng = np.random.default_rng(count)
    corner, size = rng.uniform(0, 100, (count, 2)), rng.uniform(5, 60, (count, 2))
    boxes = torch.tensor(np.concatenate((corner, corner + size), 1), dtype=torch.float32)
    scores, class_ids = torch.tensor(rng.random(count)).float(), torch.tensor(rng.integers(0, 5, count))
    kept = nms_by_class(boxes, scores, class_ids, iou)
    assert torch.equal(kept, batched_nms(boxes, scores, class_ids, iou))
    assert count < 3000 or len(kept) < count


def test_where_the_library_is_not_found_torchvision_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr(torchvision_nms, "import_module", imported.append)
    monkeypatch.setattr(torchvision_nms, "find_spec", lambda name: None)
    monkeypatch.setattr(torch, "ops", SimpleNamespace(torchvision=SimpleNamespace(), load_library=None))
    torchvision_nms._load_operators()
    assert imported == ["torchvision"]


def test_commands_do_not_import_torchvision(tmp_path: Path) -> None:
    process = Forked(print_modules, out=tmp_path / "loaded")
    assert process.wait() == 0
    loaded = process.out.split()
    assert "lehr.cli.val" in loaded and "lehr.evaluation.nms" in loaded and "torchvision" not in loaded

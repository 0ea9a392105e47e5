"""Images come as their files hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lehr.data.images import read_image, write_image


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.jpg"])
def test_red_comes_first(name: str, tmp_path: Path) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, :8], pixels[:, 8:16], pixels[:, 16:] = (250, 20, 10), (20, 250, 10), (10, 20, 250)
    Image.fromarray(pixels).save(tmp_path / name, quality=100, subsampling=0)
    np.testing.assert_allclose(read_image(tmp_path / name).astype(int), pixels, atol=6)
    write_image(tmp_path / f"again-{name}", pixels, quality=100)
    with Image.open(tmp_path / f"again-{name}") as again:
        assert np.abs(np.asarray(again.convert("RGB")).astype(int)[:, [4, 12, 20]] - pixels[:, [4, 12, 20]]).max() < 30

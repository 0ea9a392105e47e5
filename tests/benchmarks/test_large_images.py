"""Large images that are drawn for benchmarks have their objects where the labels say."""

from __future__ import annotations

import numpy as np
from benchmarks.large_images import MARGIN, large_image


def test_objects_stand_out_where_their_boxes_are_and_are_the_same_by_the_seed() -> None:
    image, rows = large_image(600, 400, 20, 20, np.random.default_rng(0))
    again, _ = large_image(600, 400, 20, 20, np.random.default_rng(0))
    assert image.shape == (400, 600, 3) and (image == again).all() and len(rows) == 20
    middles = np.array([(x * 600, y * 400) for _, x, y, _, _ in rows])
    apart = np.abs(middles[:, None] - middles[None]).max(-1) + 1e6 * np.eye(20)
    assert apart.min() > MARGIN * 20
    different = []
    for x, y in middles.round().astype(int).tolist():
        around = image[max(0, y - 16) : y + 17, max(0, x - 16) : x + 17].reshape(-1, 3).astype(int)
        different.append(np.abs(image[y, x].astype(int) - np.median(around, 0)).max() > 20)
    assert np.mean(different) > 0.9

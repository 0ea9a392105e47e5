"""Most that a stage of a step may launch, move (GB) and keep alive (GiB): a few hundredths above what it does.

64 images of 640 pixels with 100 objects each, 80 classes, bfloat16, AdamW. Raise a bound with the change that needs it,
and lower it with one that saves.
"""

from __future__ import annotations

Bounds = dict[str, tuple[int, float, float]]
STEPS: dict[str, dict[str, Bounds]] = {
    "yolov8n": {
        "kernels": {
            "drawing": (1, 0.18, 0.21),
            "forward": (345, 13.41, 4.46),
            "loss": (12, 0.49, 4.36),
            "backward": (360, 19.46, 4.5),
            "optimizer": (39, 0.09, 0.15),
            "EMA": (1, 0.04, 0.15),
            "rest": (5, 0.02, 0.15),
        },
        "torch": {
            "drawing": (405, 40.59, 1.4),
            "forward": (287, 15.19, 6.15),
            "loss": (547, 31.13, 7.3),
            "backward": (437, 25.02, 6.79),
            "optimizer": (39, 0.09, 0.15),
            "EMA": (1, 0.04, 0.15),
            "rest": (5, 0.02, 0.15),
        },
    },
    "yolov5n": {
        "kernels": {
            "drawing": (1, 0.18, 0.19),
            "forward": (333, 12.02, 3.95),
            "loss": (207, 1.52, 4.01),
            "backward": (501, 21.44, 4.24),
            "optimizer": (39, 0.06, 0.13),
            "EMA": (1, 0.03, 0.13),
            "rest": (5, 0.02, 0.13),
        },
        "torch": {
            "drawing": (405, 40.59, 1.38),
            "forward": (275, 13.54, 5.39),
            "loss": (207, 1.52, 5.45),
            "backward": (440, 22.94, 5.68),
            "optimizer": (39, 0.06, 0.13),
            "EMA": (1, 0.03, 0.13),
            "rest": (5, 0.02, 0.13),
        },
    },
    "small": {
        "kernels": {
            "drawing": (1, 0.18, 0.16),
            "forward": (148, 5.62, 2.2),
            "loss": (12, 0.49, 2.14),
            "backward": (160, 8.41, 2.28),
            "optimizer": (39, 0.02, 0.09),
            "EMA": (1, 0.01, 0.09),
            "rest": (5, 0.01, 0.09),
        },
        "torch": {
            "drawing": (405, 40.59, 1.35),
            "forward": (125, 6.53, 3.05),
            "loss": (547, 31.13, 4.25),
            "backward": (272, 13.11, 3.73),
            "optimizer": (39, 0.02, 0.09),
            "EMA": (1, 0.01, 0.09),
            "rest": (5, 0.01, 0.09),
        },
    },
    "small-anchored": {
        "kernels": {
            "drawing": (1, 0.18, 0.16),
            "forward": (87, 4.93, 1.89),
            "loss": (207, 1.52, 1.97),
            "backward": (255, 10.28, 2.2),
            "optimizer": (39, 0.01, 0.08),
            "EMA": (1, 0.01, 0.08),
            "rest": (5, 0.01, 0.08),
        },
    },
    "yolov5s": {
        "kernels": {
            "drawing": (1, 0.18, 0.27),
            "forward": (333, 22.24, 7.2),
            "loss": (207, 1.52, 7.24),
            "backward": (501, 37.72, 7.47),
            "optimizer": (39, 0.19, 0.23),
            "EMA": (1, 0.07, 0.23),
            "rest": (5, 0.02, 0.23),
        },
    },
    "yolov3-spp": {
        "kernels": {
            "drawing": (1, 0.18, 1.12),
            "forward": (421, 77.63, 24.74),
            "loss": (207, 1.52, 24.82),
            "backward": (589, 117.67, 25.05),
            "optimizer": (39, 1.56, 1.29),
            "EMA": (1, 0.53, 1.29),
            "rest": (5, 0.02, 1.29),
        },
        "torch": {
            "drawing": (405, 40.59, 2.31),
            "forward": (346, 89.42, 35.78),
            "loss": (207, 1.52, 35.86),
            "backward": (512, 129.45, 36.09),
            "optimizer": (39, 1.56, 1.29),
            "EMA": (1, 0.53, 1.29),
            "rest": (5, 0.02, 1.29),
        },
    },
}
"""By model, and whether Lehr's kernels are on or off."""

"""Draw docs/images/result.png: what a detector, trained from random weights, finds on four test images of BCCD.

    lehr train --data bccd --model yolov8n --imgsz 320 --epochs 30 --seed 0 --name bccd
    python docs/images/result.py runs/bccd/best.safetensors bccd

The folder `bccd` is the data set of blood cells (https://github.com/Shenggan/BCCD_Dataset, MIT licence), its test split
unseen in training.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lehr import Detector
from lehr.drawing.boxes import DrawnBox, class_colour, draw_boxes

IMAGES = ("BloodImage_00077", "BloodImage_00149", "BloodImage_00375", "BloodImage_00284")
WIDTH, HEIGHT, GAP = 440, 330, 6
TEXT = 0.4


def main(weights: str, data: Path) -> None:
    files = [data / "JPEGImages" / f"{name}.jpg" for name in IMAGES]
    detector = Detector.load(weights)
    sheet = np.full((HEIGHT, len(files) * (WIDTH + GAP) - GAP, 3), 255, np.uint8)
    results = detector.predict([str(file) for file in files], conf=0.5)
    for number, (file, found) in enumerate(zip(files, results, strict=True)):
        pixels = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        panel = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        scale = np.array([WIDTH / pixels.shape[1], HEIGHT / pixels.shape[0]] * 2)
        draw_boxes(
            panel,
            [
                DrawnBox(
                    box * scale, f"{detector.names[class_id]} {score:.2f}", class_colour(int(class_id)), thickness=2
                )
                for box, class_id, score in zip(found.boxes, found.classes, found.scores, strict=True)
            ],
            TEXT,
        )
        sheet[:, number * (WIDTH + GAP) : number * (WIDTH + GAP) + WIDTH] = panel
    quantized = Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE)
    quantized.save(Path(__file__).with_name("result.png"), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

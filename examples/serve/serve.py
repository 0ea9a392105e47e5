"""A small HTTP service: images in, objects out as JSON.

python examples/serve/serve.py --weights runs/train/best.safetensors
curl --data-binary @photo.jpg http://127.0.0.1:8000/predict
"""

from __future__ import annotations

import argparse
import os

from app import MIB, Settings, make_app

MAX_PIXELS = 25_000_000
"""Pixels of an image, unless LEHR_MAX_PIXELS says otherwise: a small file may be a very large image."""


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="a file of weights, or hf://owner/name")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at; 0 takes a free one (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (%(default)s)")
    parser.add_argument("--imgsz", type=int, help="longest side that the model sees, pixels (that of the training)")
    parser.add_argument("--conf", type=float, default=0.25, help="lowest score (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="most images computed together (%(default)s)")
    parser.add_argument("--wait-ms", type=float, default=5, help="how long a batch waits for images (%(default)s)")
    parser.add_argument("--room", type=int, default=64, help="images that may wait (%(default)s)")
    parser.add_argument("--max-mb", type=float, default=20, help="largest upload (%(default)s)")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for an upload and its answer (%(default)s)")
    return parser.parse_args()


def main() -> None:
    """Load the weights and serve until a signal."""
    given = options()
    os.environ.setdefault("LEHR_MAX_PIXELS", str(MAX_PIXELS))

    import uvicorn

    from lehr import Detector
    from lehr.errors import LehrError

    try:
        detector = Detector.load(given.weights, device=given.device)
    except LehrError as error:
        raise SystemExit(str(error)) from None
    settings = Settings(
        batch=given.batch,
        wait=given.wait_ms / 1e3,
        room=given.room,
        max_bytes=int(given.max_mb * MIB),
        timeout=given.timeout,
        conf=given.conf,
        imgsz=given.imgsz,
    )
    uvicorn.run(
        make_app(detector, settings),
        host=given.host,
        port=given.port,
        limit_concurrency=4 * given.room,  # connections, however little they send
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(given.timeout),
        server_header=False,
    )


if __name__ == "__main__":
    main()

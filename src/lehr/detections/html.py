"""Detections in a notebook: a thumbnail with boxes, and a table that light and dark pages can show."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from lehr.detections.detection import Detection
from lehr.runtime.plain_text import one_line

THUMBNAIL = 480
"""Longer side of the thumbnail, pixels, and its bytes at most."""
MAX_BYTES = 120_000
MAX_ROWS = 12
"""Objects that the table lists."""
TABLE = "color:inherit;font-size:inherit;border-collapse:collapse"
LEFT, RIGHT = "padding:1px 8px;text-align:left", "padding:1px 8px;text-align:right"
"""Styles of tables and of their cells."""
COLUMNS = ("class", "score", "x1", "y1", "x2", "y2")


def html_of(title: str, objects: Sequence[Detection], pixels: NDArray[np.uint8] | None) -> str:
    """Write detections as HTML; colours are the page's own.

    Args:
        title: a line above.
        objects: the objects, best first.
        pixels: uint8 (height, width, 3), RGB, annotated and small; None if there is no image.
    """
    heads = "".join(f'<th style="{LEFT if name == "class" else RIGHT}">{name}</th>' for name in COLUMNS)
    rows = []
    for each in objects[:MAX_ROWS]:
        track = "" if each.track_id is None else f"#{each.track_id} "
        cells = "".join(f'<td style="{RIGHT}">{side:.1f}</td>' for side in each.xyxy)
        rows.append(
            f'<tr><td style="{LEFT}">{track}{escape(one_line(each.name))}</td>'
            f'<td style="{RIGHT}">{each.score:.2f}</td>{cells}</tr>'
        )
    more = len(objects) - MAX_ROWS
    rest = f'<p style="opacity:.7;margin:4px 0">and {more} more</p>' if more > 0 else ""
    body = "".join(rows)
    table = f'<table style="{TABLE}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>' if rows else ""
    image = "" if pixels is None else f'<img alt="" style="max-width:100%" src="{_jpeg(pixels)}">'
    return (
        f'<div class="lehr-detections"><p style="margin:4px 0"><b>{escape(one_line(title))}</b></p>'
        '<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start">'
        f"{image}<div>{table}{rest}</div></div></div>"
    )


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    """A small JPEG as a data URL."""
    from lehr.data.images.jpeg import encode_jpeg

    data = encode_jpeg(pixels, MAX_BYTES)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce an image to the size of a thumbnail; a smaller one is returned unchanged."""
    import cv2

    height, width = pixels.shape[:2]
    scale = THUMBNAIL / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

"""Sources that are neither images, videos nor streams: what each is, and how images are made of it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lehr.data.images.kinds import VIDEO_SUFFIXES, format_of
from lehr.prediction.addresses import HTTP, STREAMS, scheme_of
from lehr.runtime.reading import read_start

READ = "Images and videos are read"
VIDEOS = frozenset(f".{suffix}" for suffix in VIDEO_SUFFIXES | {"ts", "asf", "ogv", "vob", "mjpeg", "h264", "h265"})
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"})
TEXTS = frozenset({".csv", ".json", ".xml", ".md", ".log", ".html"})
ARRAYS = frozenset({".npy", ".npz", ".pkl", ".mat", ".h5", ".hdf5", ".parquet", ".tfrecord"})
WEIGHTS = frozenset({".safetensors", ".pt", ".pth", ".ckpt", ".onnx"})
CAMERAS = re.compile(r"\d+|webcam\d*|camera\d*|/dev/video\d+", re.IGNORECASE)
SCREENS = re.compile(r"(screen|desktop|monitor)( *\d+)*", re.IGNORECASE)
HOST = re.compile(r"(www\.|[\w-]+\.)*[\w-]+\.(com|org|net|io|be|de|cn)/\S", re.IGNORECASE)
HEAD = 32
"""First bytes of a file, which identify videos and archives."""


def describe_name(source: str) -> str | None:
    """Say what a source is that names no file and cannot be read, by its name alone; None if it may be read.

    Args:
        source: as the user gave it.

    Returns:
        A message without the source, e.g. "is a data URL. ...".
    """
    if not source.strip():
        return "is an empty name. Is a variable of the shell not set?"
    if source.startswith("data:"):
        return "is a data URL. Decode it into a file first; or pipe the image: base64 -d | lehr predict -"
    scheme = scheme_of(source)
    if scheme:
        return _describe_address(source, scheme)
    if HOST.match(source):
        return f"names no file; as an address it begins with https://. Name https://{source}"
    if SCREENS.fullmatch(source):
        return "is not a file; the screen is not read. Save a screenshot first, then name its file."
    return None


def _describe_address(source: str, scheme: str) -> str | None:
    if scheme == "file":
        return f"is a URL. Name the file itself: {unquote(urlsplit(source).path)}"
    if "youtu" in source:
        return "is a page with a video. Download the video first, then name its file."
    if scheme in HTTP or scheme in STREAMS:
        return None
    known = ", ".join(sorted({*HTTP, *STREAMS}))
    return (
        f"is an address of a kind that is not read ({scheme}). Read are {known}; download it first, then name the file."
    )


def describe_file(path: Path) -> str | None:
    """Say what an existing file is that is neither image nor video, by its ending and first bytes; else None.

    Args:
        path: the file.

    Returns:
        A message without the file's name, e.g. "is an archive. ...".
    """
    ending = path.suffix.lower()
    if not path.is_file():
        return f"is not a regular file. {READ}; pipe what a program writes: PROGRAM | lehr predict -"
    kind = _kind(path)
    if kind in ("image", "video"):
        return None
    if ending == ".m3u8":
        return f"is a playlist. {READ}, and playlists at an address of http or https: name that."
    if (kind == "archive" and ending not in WEIGHTS | ARRAYS) or ending in ARCHIVES:
        return f"is an archive. {READ}: unpack it first, then name the folder."
    if kind == "PDF" or ending == ".pdf":
        return f"is a PDF. {READ}: save its pages first, e.g. pdftoppm -png {path} page"
    if ending in (".yaml", ".yml"):
        return f"is a YAML file. {READ}: name the folder of the images; `lehr val --data {path}` evaluates."
    if ending in TEXTS:
        return f"is text and no image. {READ}; a list of them, one a line, ends in .txt."
    if ending in ARRAYS:
        return f"holds arrays. {READ}; from Python, Detector.predict takes arrays: uint8 (height, width, 3), RGB."
    if ending in WEIGHTS:
        return f"is a file of weights. {READ}; weights are named by --weights."
    return None


def is_video(path: Path) -> bool:
    """Return whether an existing file is a video, by its ending and first bytes."""
    kind = _kind(path)
    return kind == "video" or (path.suffix.lower() in VIDEOS and kind != "image")


def holds_image(path: Path) -> bool:
    """Return whether a file is an image by its first bytes, whatever its name."""
    return _kind(path) == "image"


def _kind(path: Path) -> str:
    """Identify image, video, archive and PDF by the first bytes; empty if they are none."""
    try:
        head = read_start(path, HEAD)
    except OSError:
        return ""
    if format_of(head) is not None:
        return "image"
    if (head[4:8] == b"ftyp" and head[8:11] != b"crx") or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "video"
    starts = {
        b"\x1aE\xdf\xa3": "video",
        b"\x00\x00\x01\xba": "video",
        b"FLV\x01": "video",
        b"PK\x03\x04": "archive",
        b"\x1f\x8b": "archive",
        b"7z\xbc\xaf": "archive",
        b"Rar!": "archive",
        b"%PDF": "PDF",
    }
    return next((kind for start, kind in starts.items() if head.startswith(start)), "")

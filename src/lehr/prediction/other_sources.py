"""Sources that are no image files: what each is, and how images are made of it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lehr.data.images.kinds import VIDEO_SUFFIXES, format_of
from lehr.runtime.reading import read_start

ONLY_IMAGES = "Only image files are read"
VIDEOS = frozenset(
    f".{suffix}" for suffix in VIDEO_SUFFIXES | {"ts", "asf", "ogv", "vob", "mjpeg", "h264", "h265", "m3u8", "streams"}
)
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"})
TEXTS = frozenset({".txt", ".csv", ".json", ".xml", ".md", ".log", ".html"})
ARRAYS = frozenset({".npy", ".npz", ".pkl", ".mat", ".h5", ".hdf5", ".parquet", ".tfrecord"})
WEIGHTS = frozenset({".safetensors", ".pt", ".pth", ".ckpt", ".onnx"})
CAMERAS = re.compile(r"\d+|webcam\d*|camera\d*|/dev/video\d+", re.IGNORECASE)
SCREENS = re.compile(r"(screen|desktop|monitor)( *\d+)*", re.IGNORECASE)
URL = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
HOST = re.compile(r"(www\.|[\w-]+\.)*[\w-]+\.(com|org|net|io|be|de|cn)/\S", re.IGNORECASE)
STREAMS = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "mms", "hls"})
FRAMES = "mkdir frames && ffmpeg -i {} frames/%06d.jpg"
HEAD = 32
"""First bytes of a file that tell videos and archives."""


def describe_name(source: str) -> str | None:
    """Say what a source is that names no file, by its name alone; None where it may name one.

    Args:
        source: as the user gave it.

    Returns:
        A message without the source, e.g. "is a camera. ...".
    """
    url = URL.match(source) or HOST.match(source)
    if not source.strip():
        return "is an empty name. Is a variable of the shell not set?"
    if source == "-":
        return f"would be the standard input. {ONLY_IMAGES}, by their names: save the image first, then name its file."
    if source.startswith("data:"):
        return f"is a data URL. {ONLY_IMAGES}: decode it into a file first."
    if url is not None:
        return _describe_url(source, url[1].lower() if url.re is URL else "https")
    if CAMERAS.fullmatch(source):
        return f"is no file; as the number of a camera it is not taken. {ONLY_IMAGES}. Save frames first, e.g. " + (
            FRAMES.format(f"/dev/video{re.sub(r'[^0-9]', '', source) or 0} -frames:v 100") + " and name that folder."
        )
    if SCREENS.fullmatch(source):
        return f"is no file; the screen is not read. {ONLY_IMAGES}: save a screenshot first, then name its file."
    return None


def _describe_url(source: str, scheme: str) -> str:
    ending = Path(source.split("?")[0].split("#")[0]).suffix.lower()
    if scheme == "file":
        return f"is a URL. Name the file itself: {unquote(urlsplit(source).path)}"
    if scheme in STREAMS or ending in VIDEOS or "youtu" in source:
        return (
            f"is a video or a stream. {ONLY_IMAGES}. Save frames first, e.g. {FRAMES.format(source)} and name that "
            "folder; from Python, Detector.stream takes frames, as uint8 (height, width, 3), RGB."
        )
    return f"is a URL. {ONLY_IMAGES}, of this machine: download it first, e.g. curl -LO {source}, then name the file."


def describe_file(path: Path) -> str | None:
    """Say what an existing file is that is no image, by its ending and first bytes; None where it may be one."""
    ending = path.suffix.lower()
    if not path.is_file():
        return _describe_device(path)
    kind = _kind(path)
    if kind == "video" or (ending in VIDEOS and kind != "image"):
        return (
            f"is a video. {ONLY_IMAGES}. Save its frames first, e.g. {FRAMES.format(path)} and name that folder; from "
            "Python, Detector.stream takes frames, as uint8 (height, width, 3), RGB."
        )
    if kind == "image":
        return None
    if (kind == "archive" and ending not in WEIGHTS | ARRAYS) or ending in ARCHIVES:
        return f"is an archive. {ONLY_IMAGES}: unpack it first, then name the folder."
    if kind == "PDF" or ending == ".pdf":
        return f"is a PDF. {ONLY_IMAGES}: save its pages first, e.g. pdftoppm -png {path} page"
    if ending in (".yaml", ".yml"):
        return f"is a YAML file. {ONLY_IMAGES}: name the folder of the images; `lehr val --data {path}` evaluates."
    if ending in TEXTS:
        return f"is text and no image. {ONLY_IMAGES}; of a list, name its images: xargs -a LIST lehr predict ..."
    if ending in ARRAYS:
        return (
            f"holds arrays. {ONLY_IMAGES}; from Python, Detector.predict takes arrays: uint8 (height, width, 3), RGB."
        )
    if ending in WEIGHTS:
        return f"is a file of weights. {ONLY_IMAGES}; weights are named by --weights."
    return None


def holds_image(path: Path) -> bool:
    """Return whether a file is an image by its first bytes, whatever its name."""
    return _kind(path) == "image"


def _describe_device(path: Path) -> str:
    if CAMERAS.fullmatch(str(path)):
        return describe_name(str(path)) or ""
    return f"is no regular file. {ONLY_IMAGES}: save the image first, then name its file."


def _kind(path: Path) -> str:
    """Tell image, video, archive and PDF by the first bytes; empty where they tell nothing."""
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

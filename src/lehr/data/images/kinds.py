"""Kinds of image files: by their name, by their first bytes, which are read here, and what to do about the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import features


def _suffixes(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALWAYS_READ = _suffixes(
    "jpg jpeg jpe jfif jif mpo png apng bmp dib webp tif tiff ppm pgm pbm pnm jp2 j2k j2c gif tga qoi"
)
"""Suffixes of images that every installation reads."""

DECODERS = {"AVIF": _suffixes("avif avifs"), "HEIF": _suffixes("heic heics heif heifs hif"), "JXL": _suffixes("jxl")}
"""Formats whose decoder not every installation has, with their suffixes."""

RAW_SUFFIXES = _suffixes(
    "3fr arw cr2 cr3 crw dcr dng erf fff iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl sr2 srf srw x3f"
)
"""Suffixes of raw photographs."""

UNREAD_SUFFIXES = _suffixes("exr hdr pfm psd psb dcm dicom fits dds pcx xcf jxr wdp hdp bpg sgi jpx jpc")
"""Suffixes of other images that are not read."""

VIDEO_SUFFIXES = _suffixes("mp4 m4v mov avi mkv webm mpg mpeg wmv flv mts m2ts 3gp")
DRAWING_SUFFIXES = _suffixes("svg svgz eps ps ai pdf wmf emf")

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")

FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer: the image itself is not here. Run `git lfs pull`"),
    (0, b"/annex/objects/", "a git-annex pointer: the image itself is not here. Run `git annex get`"),
    (0, b"\x00\x05\x16\x07", "an AppleDouble file of macOS, which holds no image. Remove it"),
    (0, b"%PDF", "a PDF. Export its pages as JPEG or PNG"),
    (0, b"%!PS", "PostScript. Export it as JPEG or PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript. Export it as JPEG or PNG"),
    (0, b"8BPS", "a Photoshop file. Export it as JPEG or PNG"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR. Export it as PNG or TIFF"),
    (0, b"#?RADIANCE", "Radiance HDR. Export it as PNG or TIFF"),
    (0, b"SIMPLE  =", "FITS. Export it as PNG or TIFF"),
    (128, b"DICM", "DICOM. Export it as PNG or TIFF"),
    (0, b"\x1aE\xdf\xa3", "a video. Extract its frames, e.g. with ffmpeg"),
    (8, b"AVI ", "a video. Extract its frames, e.g. with ffmpeg"),
    (0, b"PK\x03\x04", "a ZIP archive. Unpack it"),
    (0, b"\x1f\x8b", "a gzip archive. Unpack it"),
    (0, b"<!", "a web page or XML, no image. Download the image again"),
    (0, b"<h", "a web page, no image. Download the image again"),
    (0, b"<s", "an SVG drawing or XML. Export it as PNG"),
    (0, b"<?xml", "XML, no image. Export or download the image again"),
    (0, b"{", "text, no image. Download the image again"),
)
"""Files that are named like images but are none: offset, bytes there, what they are and what to do."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a file that looks like an image is not read.

    Attributes:
        reason: what it is and what to do.
        is_image: whether it is a still image, which may well be labelled.
    """

    reason: str
    is_image: bool


def suffix_of(name: str) -> str:
    """Suffix of a file name in lower case, without its dot; empty if there is none."""
    stem, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot and stem else ""


@cache
def read_suffixes() -> frozenset[str]:
    """Suffixes of the images that this installation reads, in lower case, without their dots."""
    return ALWAYS_READ.union(*(suffixes for name, suffixes in DECODERS.items() if has_decoder(name)))


def is_image(path: Path) -> bool:
    """Return whether the name is that of an image file which is read here."""
    return suffix_of(path.name) in read_suffixes()


@cache
def has_decoder(name: str) -> bool:
    """Return whether this installation reads a format: AVIF, HEIF or JXL."""
    if name == "AVIF":
        return bool(features.check("avif")) or find_spec("pillow_avif") is not None
    return any(find_spec(module) is not None for module in PLUGINS[name])


PLUGINS = {"HEIF": ("pillow_heif",), "JXL": ("pillow_jxl",), "AVIF": ("pillow_avif",)}
"""Modules that bring Pillow a decoder."""
PACKAGES = {"HEIF": "pillow-heif", "JXL": "pillow-jxl-plugin", "AVIF": "pillow>=11.3"}


def needs_decoder(name: str) -> str:
    """Describe what to do if the decoder of a format is missing."""
    return f"is {name}, whose decoder is not installed. Run `pip install '{PACKAGES[name]}'`, or convert it to JPEG"


def unread(name: str) -> Unread | None:
    """Why a file, by its name, is not an image that is read; None if it is one, or nothing like an image."""
    suffix = suffix_of(name)
    if suffix in read_suffixes():
        return None
    for decoder, suffixes in DECODERS.items():
        if suffix in suffixes:
            return Unread(f"{needs_decoder(decoder)}.", True)
    if suffix in RAW_SUFFIXES:
        return Unread(f"is a raw photograph (.{suffix}), which is not read. Develop it to JPEG or TIFF.", True)
    if suffix in UNREAD_SUFFIXES:
        return Unread(f"is of a format (.{suffix}) that is not read. Convert it to JPEG, PNG or TIFF.", True)
    if suffix in VIDEO_SUFFIXES:
        return Unread(f"is a video (.{suffix}), not an image. Extract its frames, e.g. with ffmpeg.", False)
    if suffix in DRAWING_SUFFIXES:
        return Unread(f"is a drawing or document (.{suffix}), not an image. Export it as PNG if it is one.", False)
    return None


def format_of(head: bytes) -> str | None:
    """Format of an image by its first bytes (12 or more); None if they are those of none."""
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if head[:2] == b"BM":
        return "BMP"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[:12] == b"\0\0\0\x0cjP  \r\n\x87\n" or head[:4] == b"\xff\x4f\xff\x51":
        return "JPEG2000"
    if head[:12] == b"\0\0\0\x0cJXL \r\n\x87\n" or head[:2] == b"\xff\x0a":
        return "JXL"
    return "QOI" if head[:4] == b"qoif" else None


def _brand(head: bytes) -> str | None:
    """HEIF or AVIF by the brands of an ISO media file; None for a video or a raw photograph."""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))]
    if brands[0] in AVIF_BRANDS or (brands[0] in (b"mif1", b"msf1") and any(b in AVIF_BRANDS for b in brands)):
        return "AVIF"
    return "HEIF" if brands[0] in HEIF_BRANDS else None


def foreign(head: bytes) -> str:
    """Describe a file that does not begin like an image, and what to do."""
    for offset, start, meaning in FOREIGN:
        if head[offset : offset + len(start)] == start:
            return f"is {meaning}."
    if head[4:8] == b"ftyp":
        video = head[8:11] != b"crx"
        what = "a video. Extract its frames, e.g. with ffmpeg" if video else "a raw photograph. Develop it to JPEG"
        return f"is {what}."
    if not head.strip(b"\0"):
        return "holds only zeros: it was copied or downloaded in part. Copy it again or remove it."
    return "cannot be decoded (no image format is recognised). Replace or remove it."

"""Images, videos and streams over HTTP, told apart by what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lehr.data.images import ImageFault
from lehr.data.images.kinds import format_of
from lehr.errors import InputError
from lehr.prediction.frames import Frame
from lehr.prediction.live import READ_SECONDS
from lehr.prediction.pixels import to_pixels
from lehr.prediction.remote import RemoteFault, RemoteFile, open_playlist_part
from lehr.prediction.video import open_container

if TYPE_CHECKING:
    from av.container import InputContainer

PLAYLIST = b"#EXTM3U"
MULTIPART = "multipart/"
PLAYLIST_OPTIONS = {
    "format_whitelist": "hls,mpegts,mov,mp4,m4a,3gp,3g2,mj2",
    "protocol_whitelist": "http,https,tcp,tls",
    "http_persistent": "0",
}
"""Of FFmpeg for HLS, whose parts are opened by `open_playlist_part`."""


def is_image(file: RemoteFile) -> bool:
    """Return whether an address gives a single image."""
    return format_of(file.head) is not None and not file.kind.startswith(MULTIPART)


def is_live(file: RemoteFile) -> bool:
    """Return whether an address gives a stream without an end."""
    return file.size is None or file.head.startswith(PLAYLIST)


def read_web_image(file: RemoteFile, name: str) -> Frame:
    """Read the image that an address gives.

    Raises:
        InputError: it cannot be read, or is larger than its pixels.
    """
    try:
        [pixels] = to_pixels(file, name)
    except ImageFault as error:
        raise InputError(f"{name}: {error.reason}") from None
    return Frame(name, pixels)


def open_web_video(file: RemoteFile, name: str) -> InputContainer:
    """Open the video or stream that an address gives.

    Raises:
        InputError: it is none.
    """
    if file.head.startswith(PLAYLIST):
        return open_container(
            file,
            name,
            container_format="hls",
            options=PLAYLIST_OPTIONS,
            seconds=(6 * READ_SECONDS, 6 * READ_SECONDS),
            io_open=open_playlist_part(file.name),
        )
    if file.head.lstrip().startswith((b"<", b"{")):
        raise RemoteFault(f"{name}: gives {file.kind} and no image or video. Name the address of the image itself.")
    known = "mpjpeg" if file.kind.startswith(MULTIPART) else None
    return open_container(file, name, container_format=known)

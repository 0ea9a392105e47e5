"""From sources to their frames: files one after the other, cameras and streams at once, each in a separate thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.data.images import ImageFault, ImageRegions, read_image
from lehr.data.images.kinds import read_suffixes
from lehr.errors import InputError
from lehr.prediction.addresses import shown, suffix_of_address
from lehr.prediction.feed import FrameFeed, Reader
from lehr.prediction.frames import Frame
from lehr.prediction.growing_folder import watch_folder
from lehr.prediction.live import open_camera, open_stream, read_live
from lehr.prediction.pixels import to_pixels
from lehr.prediction.remote import RemoteFile
from lehr.prediction.sources import FoundSources, Kind, Source
from lehr.prediction.video import Position, decode, open_container, read_video
from lehr.prediction.web import is_image, is_live, open_web_video, read_web_image

if TYPE_CHECKING:
    from av.container import InputContainer

LIVE = frozenset({Kind.STREAM, Kind.CAMERA})


def open_readers(
    found: FoundSources, *, skip_broken: bool = False, by_region: bool = False, exclude: Collection[Path] = ()
) -> list[Reader]:
    """Open cameras, streams and addresses, and say how all sources are read.

    Args:
        found: the sources.
        skip_broken: give what cannot be read with its fault instead of raising.
        by_region: do not decode image files whose format lets regions be read; whoever takes the frames closes them.
        exclude: folders that are not looked into where a folder grows, as that of the results.

    Returns:
        A reader of all files together, in their order; one for each of the others.

    Raises:
        InputError: a camera, stream or address cannot be opened.
    """
    readers: list[Reader] = []
    files: list[Source] = []
    for source in found.sources:
        if source.kind is Kind.GROWING_FOLDER and source.path is not None:
            readers.append(Reader(source.name, watch_folder(source.path, exclude), pauses=True))
        elif source.kind in LIVE:
            readers.append(_of_live(source))
        elif source.kind is Kind.WEB and suffix_of_address(source.name).removeprefix(".") not in read_suffixes():
            reader = _of_stream_over_http(source)
            files += [source] if reader is None else []
            readers += [] if reader is None else [reader]
        elif source.kind is Kind.STANDARD_INPUT:
            readers.append(Reader(source.name, _of_files([source], skip_broken, by_region), pauses=True))
        else:
            files.append(source)
    if files:
        readers.insert(0, Reader(files[0].name, _of_files(files, skip_broken, by_region)))
    return readers


def read_sources(found: FoundSources, *, skip_broken: bool = False, by_region: bool = False) -> Iterator[Frame]:
    """The frames of sources; of files as they are asked for, of cameras and streams as they come.

    Args:
        found: the sources.
        skip_broken: give what cannot be read with its fault instead of raising.
        by_region: do not decode image files whose format lets regions be read; whoever takes the frames closes them.

    Raises:
        InputError: a source cannot be read, after the frames before it.
    """
    readers = open_readers(found, skip_broken=skip_broken, by_region=by_region)
    if len(readers) == 1 and not readers[0].live:
        yield from readers[0].frames(threading.Event())
        return
    with FrameFeed(readers, 1) as feed:
        while not feed.is_over:
            yield from (frame for frame in feed.next_batch() if not frame.ends_clip)
    feed.raise_failure()


def read_source(source: Source, by_region: bool = False) -> Iterator[Frame]:
    """The frames of a source that ends; `by_region` as `open_readers`.

    Raises:
        InputError: it cannot be read.
    """
    name = shown(source.name)
    if source.kind is Kind.IMAGE and source.path is not None:
        yield _of_image(source.path, by_region)
    elif source.kind is Kind.VIDEO and source.path is not None:
        yield from read_video(source.path)
    elif source.kind is Kind.STANDARD_INPUT and source.piped is not None:
        if source.piped.holds_image():
            yield Frame(source.piped.name, to_pixels(source.piped, source.piped.name)[0])
        else:
            with closing(open_container(source.piped, source.piped.name)) as container:
                yield from decode(container, source.piped.name, Position())
    else:
        with closing(RemoteFile(source.name)) as file:
            if is_image(file):
                yield read_web_image(file, name)
            else:
                with closing(open_web_video(file, name)) as container:
                    yield from decode(container, name, Position())


def with_remedy(error: InputError) -> InputError:
    """Add to the message of a broken image how it can be skipped."""
    return InputError(f"{error}\nOr predict without it by --skip-broken.") if isinstance(error, ImageFault) else error


def _of_image(path: Path, by_region: bool) -> Frame:
    if by_region:
        regions = ImageRegions(path)
        if regions.by_region:
            return Frame(str(path), None, regions=regions)
        regions.close()
    return Frame(str(path), read_image(path))


def _of_files(
    sources: Sequence[Source], skip_broken: bool, by_region: bool
) -> Callable[[threading.Event], Iterator[Frame]]:
    """Return what reads sources that end, one after the other."""

    def read(stop: threading.Event) -> Iterator[Frame]:
        for source in sources:
            try:
                yield from read_source(source, by_region)
            except InputError as error:
                if not skip_broken:
                    raise with_remedy(error) from None
                yield Frame(shown(source.name), None, str(error))
            if stop.is_set():
                return

    return read


def _of_live(source: Source) -> Reader:
    """Open a camera or a stream."""
    if source.kind is Kind.CAMERA:
        name, reopen = f"camera {source.name}", partial(open_camera, int(source.name))
    else:
        name, reopen = shown(source.name), partial(open_stream, source.name)
    return Reader(name, read_live(name, reopen, reopen()), live=True)


def _of_stream_over_http(source: Source) -> Reader | None:
    """Open what an address gives where it is a stream without an end; None if it ends."""
    name = shown(source.name)
    file = RemoteFile(source.name)
    if is_image(file) or not is_live(file):
        file.close()
        return None

    def reopen() -> InputContainer:
        return open_web_video(RemoteFile(source.name), name)

    return Reader(name, read_live(name, reopen, open_web_video(file, name)), live=True)

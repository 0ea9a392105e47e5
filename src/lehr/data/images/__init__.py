"""Images: which files are some, what their headers say, and their pixels."""

from lehr.data.images.files import decode_file, decode_image, probe_header, probe_image, read_image, write_image
from lehr.data.images.kinds import is_image
from lehr.data.images.problem import ImageFault
from lehr.data.images.regions import ImageRegions

__all__ = [
    "ImageFault",
    "ImageRegions",
    "decode_file",
    "decode_image",
    "is_image",
    "probe_header",
    "probe_image",
    "read_image",
    "write_image",
]

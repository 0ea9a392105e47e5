"""Half precision: a copy of a model that computes in float16."""

from __future__ import annotations

from lehr.errors import InputError
from lehr.models.detection import DetectionModel
from lehr.models.module_copy import copy_module
from lehr.models.network import Network
from lehr.runtime.console import LOGGER


def in_half_precision(network: Network) -> Network:
    """Return a copy of a model that takes its images in float16 and computes in it; boxes are decoded in float32.

    On a CPU, where float16 is slower, the model itself is returned, and a line says so.

    Args:
        network: a model, in eval mode; not changed.

    Raises:
        InputError: it is an export, which has the precision that it was made with.
    """
    if not isinstance(network, DetectionModel):
        raise InputError("half: an export has the precision that it was made with. Make one by lehr export --half.")
    if network.device.type == "cpu":
        LOGGER.warning("half: a CPU computes in float16 more slowly, so that it stays float32.")
        return network
    return copy_module(network).half().eval()

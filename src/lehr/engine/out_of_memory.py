"""Running out of memory: the count of images that fits is tried out, so that the message can name it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.techniques.autobatch import bisect_fitting

T = TypeVar("T")

OOM_MESSAGES = (
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine",
)
"""Phrases of the CPU's allocator, Apple's, cuBLAS and cuDNN, whose errors have no class of their own.

cuBLAS is not initialized where no memory was left for its handle, cuDNN finds no engine where none was for a workspace.
"""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device, or the host, had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OOM_MESSAGES)


def release(device: torch.device) -> None:
    """Give back what no tensor uses any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def first_images(batch: Batch, count: int) -> Batch:
    """The first images of a batch."""
    return batch.map(lambda tensor: tensor[:count])


def unless_out_of_memory(action: Callable[[], T], device: torch.device) -> T | None:
    """The result of an action, or None where the memory does not suffice; then it is given back.

    Args:
        action: returns something other than None.
        device: whose memory it takes.
    """
    try:
        return action()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    release(device)  # not before the error is gone, whose frames hold tensors
    return None


def batch_that_fits(batch: Batch, attempt: Callable[[Batch], None], device: torch.device) -> int:
    """The most images of a batch with which a step fits; 0 where not one image fits.

    Args:
        batch: the batch that did not fit.
        attempt: makes a step with a batch; raises where the memory does not suffice.
        device: where it is made.
    """

    def fits(count: int) -> bool:
        def step() -> bool:
            attempt(first_images(batch, count))
            return True

        fitted = unless_out_of_memory(step, device) is not None
        release(device)
        return fitted

    return bisect_fitting(fits, 0, len(batch) - 1)


def shortage(
    config: TrainConfig, device: torch.device, batch: Batch | None, attempt: Callable[[Batch], None], later: str
) -> str:
    """Describe a shortage of memory, with the batch that fits.

    Args:
        config: the run's options.
        device: where it trains.
        batch: the batch that did not fit; None where it was not a training step.
        attempt: makes a step with a batch.
        later: how to go on with the run, where it had come somewhere; else empty.
    """
    asked = f"{device}: too little memory for batches of {config.batch} at {config.imgsz} pixels."
    if batch is None:
        return f"{asked} Use a smaller --batch, --imgsz or model.\n{later}".strip()
    release(device)
    fits = batch_that_fits(batch, attempt, device)
    if fits == 0:
        return f"{asked} Not even one image fits beside this model: use a smaller --imgsz or model.\n{later}".strip()
    return (
        f"{asked} --batch {fits} fits, as was tried just now with the images of the batch that did not. Gradients "
        f"accumulate to --nominal-batch, so little changes in the result.\n{later}"
    ).strip()

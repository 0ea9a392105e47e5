"""Out of memory: the number of images that fits is measured, so that the message can name it."""

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
"""Phrases of the CPU's allocator, Apple's, cuBLAS and cuDNN, whose errors have no own class.

cuBLAS fails to initialize without memory for its handle; cuDNN finds no engine without memory for a workspace.
"""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device or the host ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OOM_MESSAGES)


def release(device: torch.device) -> None:
    """Release memory that no tensor uses."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def first_images(batch: Batch, count: int) -> Batch:
    """The first images of a batch."""
    return batch.map(lambda tensor: tensor[:count])


def unless_out_of_memory(action: Callable[[], T], device: torch.device) -> T | None:
    """Run an action; return None, and release the memory, if it runs out.

    Args:
        action: returns something other than None.
        device: whose memory it takes.
    """
    try:
        return action()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    release(device)  # only after the error is gone, whose frames hold tensors
    return None


def batch_that_fits(batch: Batch, attempt: Callable[[Batch], None], device: torch.device) -> int:
    """Find the largest number of images with which a step fits; 0 if not one fits.

    Args:
        batch: the batch that did not fit.
        attempt: runs a step with a batch; raises if memory runs out.
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
    """Describe an out-of-memory error, with the batch that fits.

    Args:
        config: the run's options.
        device: where it trains.
        batch: the batch that did not fit; None if it was not a training step.
        attempt: makes a step with a batch.
        later: how to resume the run, if it made progress; else empty.
    """
    asked = f"{device}: not enough memory for batches of {config.batch} at {config.imgsz} pixels."
    if batch is None:
        return f"{asked} Use a smaller --batch, --imgsz or model.\n{later}".strip()
    release(device)
    fits = batch_that_fits(batch, attempt, device)
    if fits == 0:
        return f"{asked} Not even one image fits next to this model: use a smaller --imgsz or model.\n{later}".strip()
    return (
        f"{asked} --batch {fits} fits (measured with the images of the batch that failed). Gradients accumulate to "
        f"--nominal-batch, so little changes in the result.\n{later}"
    ).strip()

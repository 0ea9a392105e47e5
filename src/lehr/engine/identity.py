"""Identity of a run: its data, devices and versions, compared when it resumes."""

from __future__ import annotations

from typing import Any

import torch

from lehr.augment.own_transforms import code_versions
from lehr.checkpoint.format import Checkpoint
from lehr.config import TrainConfig
from lehr.data.fingerprint import fingerprint, ignored_fingerprint
from lehr.data.tiled_split import images_of
from lehr.distributed.collectives import Ranks
from lehr.engine.data import RunData
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.device import describe_device


def identity_of(config: TrainConfig, data: RunData, ranks: Ranks) -> dict[str, Any]:
    """Return what a checkpoint holds in addition to the state, for comparison on resume."""
    train, val, old = images_of(data.train_samples), images_of(data.val_samples), data.older
    older = {} if old is None else {"older": fingerprint(old.names, images_of(old.val), images_of(old.train))}
    evaluated = [val, *([] if old is None else [images_of(old.val)])]
    return {
        "config": config.flat(),
        "data": fingerprint(data.dataset.names, train, val),
        "images": len(train),
        "torch": str(torch.__version__),
        "device": describe_device(data.device),
        "processes": ranks.count,
        **older,
        **({"ignored": ignored} if (ignored := ignored_fingerprint(*evaluated)) else {}),
        **({"code": code} if (code := code_versions(config.augment.augmentation)) else {}),
    }


def check_same(now: dict[str, Any], checkpoint: Checkpoint) -> list[str]:
    """Compare a run with its recorded identity, and report what keeps its numbers from being bit-identical.

    Args:
        now: the current identity of the run.
        checkpoint: holds the recorded one.

    Raises:
        InputError: the data have changed.
    """
    then, path = checkpoint.content, checkpoint.path
    if now["data"] != then["data"]:
        raise InputError(
            f"{now['config']['data']}: has changed since {path} was written: "
            f"{counted(then['images'], 'training image')} then, {now['images']} now, or other boxes, classes or names. "
            "A run resumes with the data it started with: restore them, or start a new run from its weights: "
            f"--weights {path.parent / 'last.safetensors'}"
        )
    if "older" in now and "older" not in then:
        raise InputError(
            f"--keep-val {now['config']['keep_val']}: the run started without older data and resumes without. Omit it, "
            "or start a new run."
        )
    if now.get("older") != then.get("older"):
        raise InputError(
            f"--keep-val {now['config']['keep_val']}: has changed since {path} was written: other images, boxes or "
            "classes. A run resumes with the data it started with: restore them, or start a new run."
        )
    before = then.get("processes", 1)
    changed = [f"{counted(before, 'process')}, now on {now['processes']}"] if now["processes"] != before else []
    changed += [f"{name} {then[name]}, now on {now[name]}" for name in ("device", "torch") if now[name] != then[name]]
    notes = [f"The run was on {change}: it resumes where it was, but rounding may differ." for change in changed]
    if now.get("ignored") != then.get("ignored"):
        notes.append(
            f"What an evaluation ignores (crowds, difficult objects) is not the same as when {path} was written: "
            "earlier epochs were evaluated on other instances."
        )
    versions = then.get("code", {})
    notes += [
        f"The code of --augmentation {name} has changed since {path} was written: images may differ from now on."
        for name, version in now.get("code", {}).items()
        if versions.get(name, version) != version
    ]
    return notes

"""Resuming a run: finding it, the options that may change, and restoring its state."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lehr.augment.augmentation import refuse_code
from lehr.augment.closing import closing_epochs
from lehr.callbacks.names import code_notice, split_code
from lehr.checkpoint.content import HELD, check_content
from lehr.checkpoint.format import Checkpoint, newest_checkpoint, read_checkpoint, read_position
from lehr.checkpoint.run_folder import CONFIG, LAST, PREVIOUS, is_held, refuse_link
from lehr.config import BEGUN_IN, TrainConfig, build_config
from lehr.data.relocation import resumed_from
from lehr.engine.loading import Loading
from lehr.engine.preflight import still_possible
from lehr.engine.state import TrainState
from lehr.errors import InputError
from lehr.options import GROUPS, MAY_CHANGE, MAY_LACK, describe_may_change, in_current_form, option_names
from lehr.runtime.counted import counted
from lehr.runtime.folder_name import check_folder_name
from lehr.techniques.auto import OptimizerChoice
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.plan import TrainingPlan
from lehr.techniques.schedule import build_schedule
from lehr.weights.best_of_run import LAST_WEIGHTS
from lehr.yaml_files import read_mapping


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run to resume.

    Attributes:
        folder: its folder.
        config: its options, with the changes.
        checkpoint: where it resumes; None restarts it, since it has no checkpoint yet.
        notes: notes for the user, one line each.
    """

    folder: Path
    config: TrainConfig
    checkpoint: Checkpoint | None
    notes: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """True if nothing is left to do under the current options."""
        if self.checkpoint is None or not self.checkpoint.position.finished:
            return False
        state = self.checkpoint.content["state"]
        stopping = EarlyStopping(self.config.schedule.patience, **state["stopping"])
        return state["epoch"] >= self.config.epochs or stopping.should_stop(state["epoch"] - 1)


def find_run(target: Path | None, project: Path, held_too: bool = False) -> tuple[Path, Path | None]:
    """Find the folder of a run, and the checkpoint in it if one was named.

    Args:
        target: a run's folder, a checkpoint in one, or None for the newest interrupted run.
        project: where to look for the newest.
        held_too: also accept a run locked by another process; for a process that trains together with the holder.

    Raises:
        InputError: there is no such run, or nothing to resume.
    """
    try:
        return _found(target, project, held_too)
    except OSError as error:
        raise InputError(f"{error.filename or target or project}: cannot be read ({error.strerror}).") from None


def _found(target: Path | None, project: Path, held_too: bool) -> tuple[Path, Path | None]:
    if target is None:
        return _newest_interrupted(project, held_too), None
    if target.is_dir():
        if not (target / CONFIG).is_file() and not _checkpoints(target):
            raise InputError(f"{target}: is not a Lehr run: has neither {CONFIG} nor {LAST}. Name a run's folder.")
        return target, None
    if not target.exists():
        raise InputError(f"{target}: no such run or checkpoint.{_known(project)}")
    if not (target.parent / CONFIG).is_file() and target.name not in (LAST, PREVIOUS):
        read_checkpoint(target)  # if it is not a checkpoint at all, report that
        raise InputError(
            f"{target}: is not in a run's folder. Put it back as {LAST} into the folder of its run, next to {CONFIG}."
        )
    return target.parent, target


def peek(folder: Path, file: Path | None, changes: Mapping[str, Any]) -> TrainConfig:
    """Return the options that a run would resume with, before reading its state or locking it.

    Args:
        folder: the run's folder.
        file: the named checkpoint, if any.
        changes: newly given options, by flat name.

    Raises:
        InputError: an option that cannot change was given, or the run's files are unusable.
    """
    try:
        config = changed(_without_code(_complete(folder / CONFIG), folder, changes, []), changes)
    except InputError:
        return open_run(folder, file, changes).config
    return resumed_from(config, folder, given=changes)


def open_run(folder: Path, file: Path | None, changes: Mapping[str, Any]) -> Resumption:
    """Read the state that a run resumes from.

    Args:
        folder: the run's folder; this process is its only writer.
        file: the checkpoint to load; None for the newest intact one.
        changes: newly given options, by flat name.

    Raises:
        InputError: an option that cannot change was given, or the run's files are unusable.
    """
    notes: list[str] = []
    if file is not None:
        checkpoint: Checkpoint | None = read_checkpoint(file)
        assert checkpoint is not None
        notes.append(f"Goes back to {checkpoint.path}; later epochs are trained again.")
    else:
        checkpoint = newest_checkpoint(folder, notes.append)
    if checkpoint is not None and not checkpoint.content.keys() >= HELD:
        raise InputError(
            f"{checkpoint.path}: was written by a version of Lehr that this one cannot resume. Start a new run from "
            f"its weights: --weights {folder / LAST_WEIGHTS}"
        )
    if checkpoint is not None:
        check_content(checkpoint)
    config = changed(_without_code(_config_of(folder, checkpoint, notes), folder, changes, notes), changes)
    config = resumed_from(config, folder, given=changes)
    return Resumption(folder, config, checkpoint, tuple(notes))


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """Merge newly given options into a run's options.

    Args:
        config: the run's options.
        changes: options by flat name.

    Raises:
        InputError: an option cannot change.
    """
    now, groups = config.flat(), option_names()
    wanted = build_config({**now, **changes, BEGUN_IN: config.begun_in}, "--resume")
    wanted = wanted.model_copy(update={"given": frozenset(changes)})
    values = wanted.flat()
    refused = [
        f"--resume: --{name.replace('_', '-')} cannot change from {now[name]} to {values[name]}: "
        f"{GROUPS[groups[name]].fixed_because}."
        for name in changes
        if name not in MAY_CHANGE and values[name] != now[name]
    ]
    if refused:
        may = f"These may change: {describe_may_change()}. For a new run, omit --resume."
        raise InputError("\n".join([*refused, may]))
    if wanted.epochs < config.epochs:
        raise InputError(
            f"--resume: --epochs {wanted.epochs} is fewer than the run's {config.epochs}, which its learning rates "
            "follow. Give more, or keep the number; its weights exist either way."
        )
    return wanted


def _config_of(folder: Path, checkpoint: Checkpoint | None, notes: list[str]) -> TrainConfig:
    """Read the options of a run from its config.yaml; they must match its checkpoint except for those that may
    change."""
    path = folder / CONFIG
    try:
        config = _complete(path)
    except InputError as error:
        if checkpoint is None:
            raise
        notes.append(f"{error}\nThe options in {checkpoint.path} are used.")
        return build_config(_without_path(checkpoint.content["config"]), str(checkpoint.path))
    if checkpoint is not None:
        trained = {**config.flat(), **in_current_form(checkpoint.content["config"])}
        for name, value in config.flat().items():
            if name not in (*MAY_CHANGE, "project", "name") and value != trained[name]:
                raise InputError(
                    f"{path}: --{name.replace('_', '-')} is {value}, but the run was trained with {trained[name]}. "
                    "Set it back, or start a new run with --config."
                )
    return config


def _without_code(config: TrainConfig, folder: Path, changes: Mapping[str, Any], notes: list[str]) -> TrainConfig:
    """Drop callbacks that a run's file names as code, unless callbacks are given again.

    Raises:
        InputError: its file names augmentations that are code, without which the run would differ, and they are not
            given again.
    """
    if "augmentation" not in changes:
        refuse_code(config.augment.augmentation, (), str(folder / CONFIG))
    kept, left_out = split_code(config.run.callback)
    if not left_out:
        return config
    if "callback" not in changes:
        notes.append(code_notice(str(folder / CONFIG), left_out))
    return config.model_copy(update={"run": config.run.model_copy(update={"callback": kept})})


def _complete(path: Path) -> TrainConfig:
    """The options in a run's config.yaml.

    Raises:
        InputError: it is missing, damaged, or lacks an option, which a default would silently replace.
    """
    refuse_link(path)
    given = read_mapping(path, links=False)
    missing = [name for name in option_names() if name not in given and name not in MAY_LACK]
    if missing:
        raise InputError(
            f"{path}: lacks {counted(len(missing), 'option')}, such as --{missing[0].replace('_', '-')}: it is "
            f"truncated, or from another version of Lehr. Start a new run: lehr train --config uses what it holds."
        )
    return build_config(_without_path(given), str(path))


def _without_path(options: Mapping[str, Any]) -> dict[str, Any]:
    """Drop a name that is a path, which earlier versions accepted: the folder exists already."""
    name = options.get("name")
    with contextlib.suppress(ValueError):
        return {**options, "name": check_folder_name(name) if isinstance(name, str) else name}
    return {**options, "name": None}


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in (folder / LAST, folder / PREVIOUS) if path.is_file()]


def _newest_interrupted(project: Path, held_too: bool = False) -> Path:
    runs = _runs(project)
    for folder in runs:
        if not _is_finished(folder) and (held_too or not is_held(folder)):
            return folder
    held = [folder for folder in runs if is_held(folder)]
    if held:
        raise InputError(f"{project}: holds no interrupted run; {held[0]} is being trained by another process.")
    done = f" All of its {len(runs)} are finished; --resume RUN --epochs N makes one longer." if runs else ""
    raise InputError(f"{project}: holds no interrupted run.{done} Name one, or choose another --project.")


def _runs(project: Path) -> list[Path]:
    """List the runs in a folder, most recently modified first."""
    folders = [path.parent for path in project.glob(f"*/{CONFIG}")]

    def touched(folder: Path) -> float:
        times = []
        for name in (CONFIG, LAST, PREVIOUS):
            with contextlib.suppress(FileNotFoundError):  # a run in progress renames its files
                times.append((folder / name).stat().st_mtime)
        return max(times, default=0.0)

    return sorted(folders, key=touched, reverse=True)


def _is_finished(folder: Path) -> bool:
    """Return whether a run has finished and was not given more epochs since."""
    for path in _checkpoints(folder):
        with contextlib.suppress(InputError, OSError):
            position = read_position(path)
            epochs = read_mapping(folder / CONFIG, links=False).get("epochs")
            return position.finished and (not isinstance(epochs, int) or epochs <= position.epochs)
    return False


def _known(project: Path) -> str:
    runs = _runs(project)
    return f" The newest in {project}: {', '.join(map(str, runs[:3]))}." if runs else ""


def planned(plan: TrainingPlan, closed: int, loading: Loading) -> dict[str, Any]:
    """Return the part of a plan that a checkpoint holds: what more epochs, or another version of Lehr, would choose
    differently.

    Args:
        plan: the run's.
        closed: its last epochs without mosaic.
        loading: how it loads images.
    """
    values = {"optimizer": asdict(plan.optimizer), "warmup": plan.warmup, "ema_tau": plan.ema_tau, "closed": closed}
    return {"plan": values | asdict(loading)}


def closed_epochs(config: TrainConfig, checkpoint: Checkpoint | None) -> int:
    """Number of last epochs without mosaic: as the run started with, or as for a new run if it gets more epochs.

    Runs started by versions of Lehr that took `--close-mosaic` literally have no mosaic if the run has at most that
    many epochs.

    Args:
        config: the run's options.
        checkpoint: where it resumes; None for a new run.
    """
    given, before = config.augment.close_mosaic, 0 if checkpoint is None else checkpoint.position.epochs
    if checkpoint is not None and "closed" not in checkpoint.content["plan"] and given is not None:
        return given
    if checkpoint is not None and config.epochs == before:
        return int(checkpoint.content["plan"]["closed"])
    return closing_epochs(given, config.epochs)


def as_planned(plan: TrainingPlan, checkpoint: Checkpoint) -> TrainingPlan:
    """Set the optimizer, warmup and weight averaging of a plan to those that a run started with."""
    kept = checkpoint.content["plan"]
    tau = kept.get("ema_tau", plan.ema_tau)  # older checkpoints record it only in the options
    return replace(plan, optimizer=OptimizerChoice(**kept["optimizer"]), warmup=kept["warmup"], ema_tau=tau)


def restore(state: TrainState, plan: TrainingPlan, resumption: Resumption) -> list[str]:
    """Restore the state of a resumed run; return notes for the user, one line each.

    Args:
        state: that of a new run; receives that of the checkpoint, if there is one.
        plan: rates of every step, for the epochs that the run has now.
        resumption: where it resumes.

    Raises:
        InputError: the checkpoint does not fit the run.
    """
    checkpoint, notes = resumption.checkpoint, list(resumption.notes)
    if checkpoint is None:
        return [*notes, "The run has no checkpoint yet: it restarts from the beginning."]
    try:
        state.load_state_dict(checkpoint.content["state"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{checkpoint.path}: does not fit this run ({error}).") from None
    notes.append(f"Resumes from {checkpoint.path}: {checkpoint.position}.")
    if state.history and "val/map_max_det" not in state.history[-1]:
        notes.append(
            f"The fitness of its {counted(state.epoch, 'epoch')} so far is of COCO's 100 detections of a class in an "
            f"image; from now on it is of all that are kept, {resumption.config.run.max_det} per image "
            "(docs/evaluation.md)."
        )
    device, precision = state.sums.losses.device, state.precision
    if (left := still_possible(precision, device)) is not precision:
        state.use_precision(left)
        notes.append(f"The run computed in {precision}, which does not work on {device}: now in {left}.")
    before, config = checkpoint.position.epochs, resumption.config
    if config.epochs != before:
        unstretched = replace(plan, epochs=before, schedule=build_schedule(plan.options, before))
        now, then = (each.at(state.step).lr_weights * state.recovery.lr_scale for each in (plan, unstretched))
        text = (
            f"{counted(config.epochs, 'epoch')} instead of {before}: the schedule stretches, so the learning rate "
            f"continues at {now:.3g} instead of {then:.3g}"
        )
        if config.augment.mosaic > 0 and (closed := closed_epochs(config, checkpoint)) > 0:
            text += f", and mosaic is off for the last {closed} of these epochs"
        notes.append(f"{text}.")
    return notes

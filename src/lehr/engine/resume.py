"""Resuming a run: which one is meant, which of its options may change, and taking up its state."""

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
    """A run to go on with.

    Attributes:
        folder: its folder.
        config: its options, with the changes.
            checkpoint: where it goes on; None begins it again, since it had not come to its first checkpoint.
        notes: what the user should know, a line each.
    """

    folder: Path
    config: TrainConfig
    checkpoint: Checkpoint | None
    notes: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """True when there is nothing left to do, with the options as they are now."""
        if self.checkpoint is None or not self.checkpoint.position.finished:
            return False
        state = self.checkpoint.content["state"]
        stopping = EarlyStopping(self.config.schedule.patience, **state["stopping"])
        return state["epoch"] >= self.config.epochs or stopping.should_stop(state["epoch"] - 1)


def find_run(target: Path | None, project: Path, held_too: bool = False) -> tuple[Path, Path | None]:
    """The folder of a run, and the checkpoint in it where one was named.

    Args:
        target: a run's folder, a checkpoint in one, or None for the newest interrupted run.
        project: where to look for the newest.
        held_too: take a run that another process holds, too; for a process that trains together with the holder.

    Raises:
        InputError: there is no such run, or nothing to go on with.
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
            raise InputError(f"{target}: is no run of Lehr's: has neither {CONFIG} nor {LAST}. Name a run's folder.")
        return target, None
    if not target.exists():
        raise InputError(f"{target}: there is no such run or checkpoint.{_known(project)}")
    if not (target.parent / CONFIG).is_file() and target.name not in (LAST, PREVIOUS):
        read_checkpoint(target)  # where it is no checkpoint at all, that is the thing to say
        raise InputError(
            f"{target}: lies in no run's folder. Put it back as {LAST} into the folder of its run, beside {CONFIG}."
        )
    return target.parent, target


def peek(folder: Path, file: Path | None, changes: Mapping[str, Any]) -> TrainConfig:
    """The options that a run would go on with, before anything of its state is read or anything is held.

    Args:
        folder: the run's folder.
        file: the checkpoint that was named, if one was.
        changes: options by flat name that were given now.

    Raises:
        InputError: an option that cannot change was given, or the run's files cannot be used.
    """
    try:
        config = changed(_without_code(_complete(folder / CONFIG), folder, changes, []), changes)
    except InputError:
        return open_run(folder, file, changes).config
    return resumed_from(config, folder, given=changes)


def open_run(folder: Path, file: Path | None, changes: Mapping[str, Any]) -> Resumption:
    """Read what a run goes on from.

    Args:
        folder: the run's folder; this process is its only writer.
        file: the checkpoint to take; None for the newest whole one.
        changes: options by flat name that were given now.

    Raises:
        InputError: an option that cannot change was given, or the run's files cannot be used.
    """
    notes: list[str] = []
    if file is not None:
        checkpoint: Checkpoint | None = read_checkpoint(file)
        assert checkpoint is not None
        notes.append(f"Goes back to {checkpoint.path}; what the run did after it is done again.")
    else:
        checkpoint = newest_checkpoint(folder, notes.append)
    if checkpoint is not None and not checkpoint.content.keys() >= HELD:
        raise InputError(
            f"{checkpoint.path}: was written by a version of Lehr that this one cannot go on from. Start a new run "
            f"from its weights: --weights {folder / LAST_WEIGHTS}"
        )
    if checkpoint is not None:
        check_content(checkpoint)
    config = changed(_without_code(_config_of(folder, checkpoint, notes), folder, changes, notes), changes)
    config = resumed_from(config, folder, given=changes)
    return Resumption(folder, config, checkpoint, tuple(notes))


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """A run's options with those that were given now.

    Args:
        config: the run's options.
        changes: options by flat name.

    Raises:
        InputError: one that cannot change.
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
        may = f"These may change: {describe_may_change()}. For another run, leave out --resume."
        raise InputError("\n".join([*refused, may]))
    if wanted.epochs < config.epochs:
        raise InputError(
            f"--resume: --epochs {wanted.epochs} is fewer than the run's {config.epochs}, by which its rates have "
            "fallen so far. Give more, or leave it where it is; its weights are there all the same."
        )
    return wanted


def _config_of(folder: Path, checkpoint: Checkpoint | None, notes: list[str]) -> TrainConfig:
    """The options of a run: those of its config.yaml, which must be those of its checkpoint but for what may change."""
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
    """The options of a run without callbacks that its file names as code, unless callbacks are given anew.

    Raises:
        InputError: its file names augmentations that are code, without which it would be another run, and they are not
            given anew.
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
        InputError: it is missing, damaged, or lacks an option, so that a default would take the place of the run's own.
    """
    refuse_link(path)
    given = read_mapping(path, links=False)
    missing = [name for name in option_names() if name not in given and name not in MAY_LACK]
    if missing:
        raise InputError(
            f"{path}: lacks {counted(len(missing), 'option')}, such as --{missing[0].replace('_', '-')}: it is "
            f"cut off, or of "
            "another version of Lehr. Start a new run: lehr train --config takes what is there."
        )
    return build_config(_without_path(given), str(path))


def _without_path(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run without a name that is a path, as earlier versions took it: its folder is made already."""
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
    """The runs of a folder, last touched first."""
    folders = [path.parent for path in project.glob(f"*/{CONFIG}")]

    def touched(folder: Path) -> float:
        times = []
        for name in (CONFIG, LAST, PREVIOUS):
            with contextlib.suppress(FileNotFoundError):  # a run that is being trained renames its files
                times.append((folder / name).stat().st_mtime)
        return max(times, default=0.0)

    return sorted(folders, key=touched, reverse=True)


def _is_finished(folder: Path) -> bool:
    """Return whether a run has reached its end, and has not been given more epochs since."""
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
    """Return what of a plan a checkpoint holds: what more epochs, or another version of Lehr, would choose anew.

    Args:
        plan: the run's.
        closed: its last epochs without mosaic.
        loading: how it loads images.
    """
    values = {"optimizer": asdict(plan.optimizer), "warmup": plan.warmup, "ema_tau": plan.ema_tau, "closed": closed}
    return {"plan": values | asdict(loading)}


def closed_epochs(config: TrainConfig, checkpoint: Checkpoint | None) -> int:
    """Last epochs of a run without mosaic: those that it began with, and for more epochs those of a new run.

    Runs that were begun by versions of Lehr which took `--close-mosaic` to the letter have none with mosaic where the
    run has no more epochs than that.

    Args:
        config: the run's options.
        checkpoint: where it goes on; None for a new run.
    """
    given, before = config.augment.close_mosaic, 0 if checkpoint is None else checkpoint.position.epochs
    if checkpoint is not None and "closed" not in checkpoint.content["plan"] and given is not None:
        return given
    if checkpoint is not None and config.epochs == before:
        return int(checkpoint.content["plan"]["closed"])
    return closing_epochs(given, config.epochs)


def as_planned(plan: TrainingPlan, checkpoint: Checkpoint) -> TrainingPlan:
    """A plan with the optimizer, the warmup and the average of the weights that a run began with."""
    kept = checkpoint.content["plan"]
    tau = kept.get("ema_tau", plan.ema_tau)  # in older checkpoints the options alone say it
    return replace(plan, optimizer=OptimizerChoice(**kept["optimizer"]), warmup=kept["warmup"], ema_tau=tau)


def restore(state: TrainState, plan: TrainingPlan, resumption: Resumption) -> list[str]:
    """Take up the state of a run that goes on; what the user should know, a line each.

    Args:
        state: that of a new run; becomes that of the checkpoint, if there is one.
        plan: rates of every step, for the epochs that the run has now.
        resumption: where it goes on.

    Raises:
        InputError: the checkpoint does not fit the run.
    """
    checkpoint, notes = resumption.checkpoint, list(resumption.notes)
    if checkpoint is None:
        return [*notes, "The run has no checkpoint yet: it begins again."]
    try:
        state.load_state_dict(checkpoint.content["state"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{checkpoint.path}: does not fit this run ({error}).") from None
    notes.append(f"Goes on from {checkpoint.path}: {checkpoint.position}.")
    if state.history and "val/map_max_det" not in state.history[-1]:
        notes.append(
            f"The fitness of its {counted(state.epoch, 'epoch')} so far is of COCO's 100 detections of a class "
            f"in an image; "
            f"from here on it is of all that are kept, {resumption.config.run.max_det} an image (docs/evaluation.md)."
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
            f"{counted(config.epochs, 'epoch')} instead of {before}: the schedule stretches, so the learning "
            f"rate goes on at "
            f"{now:.3g} instead of {then:.3g}"
        )
        if config.augment.mosaic > 0 and (closed := closed_epochs(config, checkpoint)) > 0:
            text += f", and mosaic is closed for the last {closed} of these epochs"
        notes.append(f"{text}.")
    return notes

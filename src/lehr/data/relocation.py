"""Finding the data of a run again from another folder.

`--data data.yaml` is relative to the folder in which the command was given. The `config.yaml` of a run keeps it so,
that it stays readable and can be moved together with its data, and says that folder as `begun_in`. Who resumes the run,
or takes its config.yaml, elsewhere gets the run's own data: a file of the same name there is another data set.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lehr.config import BEGUN_IN, TrainConfig, is_relative
from lehr.data.formats.yolo import YOLO
from lehr.data.load import FORMATS
from lehr.errors import InputError
from lehr.yaml_files import read_mapping

CONFIG = "config.yaml"
"""File of a run's folder that holds its options."""


def relocated(source: str, folder: Path) -> str | None:
    """Return a relative source of data as it is called from anywhere, or None if a folder does not hold it.

    Args:
        source: as `--data` names it: a path, a pair of paths, or FORMAT:SOURCE.
        folder: what the source is relative to.
    """
    if os.path.lexists(folder / source):
        return str(folder / source)
    parts = source.split(",")
    if len(parts) > 1 and all((folder / part.strip()).exists() for part in parts):
        return ",".join(str(folder / part.strip()) for part in parts)
    name, colon, rest = source.partition(":")
    if colon and rest and is_relative(rest) and (place := relocated(rest, folder)) is not None:
        return f"{name}:{place}"
    return None


def places_of(run: Path, options: Mapping[str, Any]) -> list[Path]:
    """Return the folders that relative paths of a run's config.yaml may be relative to, the likelier first.

    Args:
        run: the run's folder, `project/name` at its start, from which the start folder is found even after a move.
        options: what the config.yaml holds; older runs do not record where they were started.
    """
    project, name = str(options.get("project") or "runs"), str(options.get("name") or run.absolute().name)
    tail = (*Path(project).parts, *Path(name).parts)
    folders = (Path(os.path.abspath(run)), run.resolve()) if is_relative(project) else ()  # noqa: PTH100 (keeps links)
    places = [folder.parents[len(tail) - 1] for folder in folders if folder.parts[-len(tail) :] == tail]
    if options.get(BEGUN_IN):
        places.append(Path(str(options[BEGUN_IN])))
    return list(dict.fromkeys(places))


def find_place(source: str, places: list[Path]) -> Path | None:
    """Return the first of some folders that holds a relative source; None if none does."""
    return next((place for place in places if relocated(source, place) is not None), None)


def data_source(config: TrainConfig) -> str:
    """Return the source of a run's data as it is called from in the working folder."""
    return _called(config.data.data, config)


def older_source(config: TrainConfig) -> str | None:
    """Return the source of a run's older data as it is called from in the working folder; None without any."""
    return None if config.data.keep_val is None else _called(config.data.keep_val, config)


def skip_list(config: TrainConfig) -> str | None:
    """Return the list of images that a run skips, as it is called from here; None for none."""
    return None if config.data.skip is None else _called(config.data.skip, config)


def _called(source: str, config: TrainConfig) -> str:
    """A source of a run's data as it is called from in the working folder."""
    if config.begun_in is None or not is_relative(source):
        return source
    return relocated(source, config.begun_in) or source


def resumed_from(config: TrainConfig, run: Path, given: Collection[str]) -> TrainConfig:
    """Return the options of a resumed run, with the folder that its paths are relative to.

    Args:
        config: its options, with `begun_in` as its config.yaml says it.
        run: its folder.
        given: the newly given options, by flat name; their paths are relative to in the working folder.

    Raises:
        InputError: data are neither where the run was started nor here.
    """
    source, here, data = config.data.data, _here(), config.data
    places = places_of(run, {**config.flat(), BEGUN_IN: config.begun_in})
    place = _place_now("data", source, places, run, given)
    for name in ("keep_val", "skip"):
        path = getattr(config.data, name)
        if path is None or not is_relative(path):
            continue
        own = _place_now(name, path, places, run, given)
        if own != place and (folder := own or here) is not None:
            data = data.model_copy(update={name: relocated(path, folder) or path})
    return config.model_copy(update={"begun_in": place, "data": data})


def _place_now(name: str, source: str, places: list[Path], run: Path, given: Collection[str]) -> Path | None:
    """The folder that a source of a resumed run is relative to; None for the working folder.

    Raises:
        InputError: it is in none.
    """
    if name in given or not is_relative(source):
        return None
    here = _here()
    place = find_place(source, [*places, *([] if here is None else [here])])
    if place is None and not any(each.recognises(source) for each in FORMATS.all() if each is not YOLO):
        begun, option = f", {' or '.join(map(str, places))}," if places else "", f"--{name.replace('_', '-')}"
        raise InputError(
            f"{option} {source}: is relative to where {run} was started{begun} and no longer exists"
            f"{'' if here is None or here in places else f', nor in {here}'}. Give its current place with {option}."
        )
    return None if place == here else place


def from_file(options: Mapping[str, Any], file: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the options of a file, such as a run's config.yaml, for a run that begins here.

    Args:
        options: what the file holds.
        file: the file.
        given: options that were given besides, which win.

    Returns:
        The options, their paths as they are called from here; and what was found elsewhere, one line each.

    Raises:
        InputError: there is one here and another where the run of the file was begun.
    """
    result, notes = {name: value for name, value in options.items() if name != BEGUN_IN}, []
    places = places_of(file.parent, options)
    for name in ("data", "keep_val", "skip", "weights"):
        source, here, option = options.get(name), _here(), f"--{name.replace('_', '-')}"
        if name in given or not isinstance(source, str) or not is_relative(source) or here is None:
            continue
        place, local = find_place(source, places), relocated(source, here)
        there = None if place is None else relocated(source, place)
        if there is None or (local is not None and _same(local, there)):
            continue
        if local is not None:
            raise InputError(
                f"{file}: {option} {source} could be {local}, in this folder, or {there}, where its run was started. "
                f"Give the right one: {option} {there}"
            )
        result[name] = there
        notes.append(f"{option} {source} of {file}: taken from where its run was started, {there}.")
    return result, notes


def weights_source(config: TrainConfig) -> Path | None:
    """Return the weights that a run starts from, as they are called from in the working folder; None for none."""
    weights, folder = config.model.weights, config.begun_in
    if weights is None or folder is None or not is_relative(str(weights)) or not (folder / weights).exists():
        return weights
    return folder / weights


def data_of_run(weights: Path, source: str) -> str:
    """Return a source of data, or where the run that made some weights has it when it is not here.

    Args:
        weights: a file, perhaps in the folder of its run.
        source: as `--data` names it, relative to in the working folder.
    """
    path, here = weights.parent / CONFIG, _here()
    if not is_relative(source) or here is None or relocated(source, here) is not None or not path.is_file():
        return source
    with contextlib.suppress(InputError):
        options = read_mapping(path, links=False)
        place = find_place(source, places_of(path.parent, options))
        if str(options.get("data")) == source and place is not None:
            return relocated(source, place) or source
    return source


def _here() -> Path | None:
    """The folder in the working folder; None if it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _same(source: str, other: str) -> bool:
    """Return whether two sources are the same files."""
    return [os.path.realpath(part) for part in source.split(",")] == [os.path.realpath(p) for p in other.split(",")]

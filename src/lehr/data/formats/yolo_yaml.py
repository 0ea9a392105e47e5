"""The data YAML of YOLO layout: its keys and its class names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lehr.errors import InputError, did_you_mean
from lehr.sample import SPLITS
from lehr.yaml_files import line_of_key, read_mapping

KEYS = ("path", *SPLITS, "names", "nc", "task", "kpt_shape")
IGNORED_KEYS = ("download", "flip_idx", "roboflow", "author", "date", "description", "license", "url", "version")


def read_data_yaml(path: Path) -> dict[str, Any]:
    """Read a data YAML.

    Raises:
        InputError: it is missing or malformed, or has an unknown key.
    """
    content = read_mapping(path, "Check --data.")
    if not content:
        raise InputError(f"{path}: must hold 'train', 'val' and 'names'.")
    for key in content:
        if key not in KEYS and key not in IGNORED_KEYS:
            line = line_of_key(path, str(key))
            raise InputError(f"{path}:{line}: unknown key '{key}'. {did_you_mean(str(key), KEYS)}")
    return content


def class_names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """Class names of a data YAML's content, in the order of their numbers.

    Raises:
        InputError: they are missing, have gaps or repetitions, or disagree with `nc`.
    """
    given = content.get("names")
    if isinstance(given, dict):
        if sorted(given, key=str) != sorted(range(len(given)), key=str):
            raise InputError(
                f"{path}:{line_of_key(path, 'names')}: 'names' must count its classes from 0 without gaps."
            )
        names = tuple(str(given[i]) for i in range(len(given)))
    elif isinstance(given, list):
        names = tuple(str(name) for name in given)
    else:
        raise InputError(f"{path}: 'names' is missing. Add the class names as a list or a map from number to name.")
    if not names:
        raise InputError(f"{path}:{line_of_key(path, 'names')}: 'names' is empty. Name at least one class.")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{path}:{line_of_key(path, 'names')}: the class '{twice}' is named twice.")
    if "nc" in content and content["nc"] != len(names):
        line = line_of_key(path, "nc")
        raise InputError(f"{path}:{line}: 'nc' is {content['nc']} but 'names' has {len(names)}. Make them agree.")
    return names


def keypoint_shape(path: Path, content: dict[str, Any]) -> tuple[int, int] | None:
    """Number of keypoints and numbers of each (2 or 3) that a data YAML states as `kpt_shape`; None where it does not.

    Raises:
        InputError: it is not two whole numbers, the second 2 or 3.
    """
    given = content.get("kpt_shape")
    if given is None:
        return None
    numbers = [value for value in given if isinstance(value, int) and value > 0] if isinstance(given, list) else []
    if len(numbers) != 2 or given != numbers or numbers[1] not in (2, 3):
        line = line_of_key(path, "kpt_shape")
        raise InputError(
            f"{path}:{line}: 'kpt_shape' must be [number of keypoints, 2 or 3], such as [17, 3], but is {given}."
        )
    return numbers[0], numbers[1]

"""Reading YAML mappings, with messages that name file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lehr.errors import InputError


def read_mapping(path: Path, remedy: str = "Give an existing YAML file.") -> dict[Any, Any]:
    """The names and values of a YAML file; empty when the file is.

    Args:
        path: the file.
        remedy: what to do when it cannot be read, for the message.

    Raises:
        InputError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). {remedy}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text, so not YAML. {remedy}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark is not None else ""
        raise InputError(f"{path}{place}: is not valid YAML ({getattr(error, 'problem', error)}).") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold 'name: value' lines.")
    return content


def line_of_key(path: Path, key: str) -> int:
    """The line, from 1, on which a top-level name of a readable YAML mapping stands; 1 when it is not there."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((int(name.start_mark.line) + 1 for name, _ in pairs if str(name.value) == key), 1)

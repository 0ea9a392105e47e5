"""Weights from the Hugging Face Hub: one safetensors file, bounded in size, read as a stranger's.

Of a repository nothing else is read: no configuration, no pickle, no code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lehr.errors import InputError, LehrError
from lehr.integrations.packages import require_package
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import GIB, MIB
from lehr.version import __version__
from lehr.weights.best_of_run import best_of_run

PREFIX = "hf://"
WEIGHTS = "model.safetensors"
"""File of a repository that holds the weights, unless another is named."""
FORM = re.compile(
    r"hf://(?P<repository>[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>refs/pr/\d+|[\w.-]+))?(?:/(?P<file>[^@\x00-\x1f]+))?"
)
LIMIT = 4 * GIB
"""Bytes of weights that are fetched."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of weights on the Hub.

    Attributes:
        repository: owner and name, `owner/name`.
        revision: branch, tag or commit; None for the main branch.
        file: path in the repository.
    """

    repository: str
    revision: str | None = None
    file: str = WEIGHTS

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{PREFIX}{self.repository}{revision}" + ("" if self.file == WEIGHTS else f"/{self.file}")


def is_on_hub(name: str | Path) -> bool:
    """Return whether weights are named as on the Hub: `hf://owner/name`; also where a path has lost one slash."""
    return str(name).startswith(("hf:/", "hf:\\"))


def parse_hub_name(name: str | Path) -> HubFile:
    """Parse `hf://owner/name[@revision][/path/file.safetensors]`.

    Raises:
        InputError: it is none, or names another file than safetensors.
    """
    text = PREFIX + str(name).replace("\\", "/").removeprefix("hf:").lstrip("/")
    found = FORM.fullmatch(text)
    if found is None:
        raise InputError(
            f"{one_line(text)}: write hf://owner/name, or hf://owner/name@REVISION/FILE.safetensors in full."
        )
    file = found["file"] or WEIGHTS
    if PurePosixPath(file).suffix != ".safetensors" or ".." in PurePosixPath(file).parts:
        raise InputError(f"{one_line(text)}: only .safetensors files are read from the Hub, since they hold no code.")
    return HubFile(found["repository"], found["revision"], file)


def fetch_weights(name: str | Path, *, token: str | bool | None = None) -> Path:
    """Fetch weights from the Hub into its cache, if they are not there yet.

    The size that the Hub states is looked at first; without a connection, what the cache has is taken. What the file
    holds is not looked at: `load_model` reads it within its bounds.

    Args:
        name: `hf://owner/name[@revision][/path/file.safetensors]`.
        token: of the Hub (unset: that of `hf auth login`, or HF_TOKEN).

    Returns:
        The file in the cache, in a folder named by the commit.

    Raises:
        InputError: there is no such file, it is too large, or the Hub cannot be reached.
        LehrError: huggingface_hub is not installed.
    """
    require_package("huggingface_hub", "hub")
    wanted = parse_hub_name(name)
    from huggingface_hub import hf_hub_download

    given: dict[str, Any] = {
        "repo_id": wanted.repository,
        "filename": wanted.file,
        "revision": wanted.revision,
        "token": token,
        "endpoint": endpoint(),
        "library_name": "lehr",
        "library_version": __version__,
    }
    with hub_errors(str(wanted)):
        size = hf_hub_download(**given, dry_run=True).file_size
        if size is None or size > LIMIT:
            stated = "an unknown size" if size is None else f"{size / MIB:.0f} MB"
            raise InputError(f"{wanted}: has {stated}, more than weights have ({LIMIT // GIB} GB). It is not fetched.")
        return Path(hf_hub_download(**given))


def hub_name(repository: str, revision: str | None) -> str:
    """The name of a repository's weights: `hf://owner/name@revision`."""
    name = repository if repository.startswith("hf:/") else f"hf://{repository}"
    return name if revision is None else f"{name}@{revision}"


def local_weights(name: str | Path, *, token: str | bool | None = None) -> Path:
    """Weights as a file of this machine: fetched where they are named as on the Hub, the best where a run is named.

    Raises:
        LehrError: as `fetch_weights`.
    """
    return fetch_weights(name, token=token) if is_on_hub(name) else best_of_run(name)


def endpoint() -> str | None:
    """The Hub's address, where HF_ENDPOINT names another than the public one."""
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Turn errors of the Hub's client into one message with the remedy.

    Args:
        what: what was asked for, for the message.
    """
    from huggingface_hub import errors

    try:
        yield
    except LehrError:
        raise
    except errors.GatedRepoError:
        raise InputError(f"{what}: is gated. Accept its terms on its page, then: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            f"{what}: the Hub has no such repository, or it is private. Check the name, or: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(f"{what}: has no such revision. Name a branch, tag or commit of it.") from None
    except errors.LocalEntryNotFoundError:
        raise InputError(f"{what}: the Hub cannot be reached, and the cache has no copy. Try again later.") from None
    except errors.EntryNotFoundError:
        raise InputError(f"{what}: has no such file. Name one of its .safetensors: hf://owner/name/FILE") from None
    except Exception as error:  # whatever its HTTP client raises; the library wraps only a part of it
        lines = str(error).strip().splitlines() or [""]
        raise InputError(
            f"{what}: the Hub refused or broke off ({type(error).__name__}: {one_line(lines[0])})."
        ) from None

"""Names of folders that a file of somebody else's may give: one folder's name, which leads nowhere else."""

from __future__ import annotations

from lehr.runtime.plain_text import one_line


def check_folder_name(name: str) -> str:
    """Return a folder's name unchanged.

    Raises:
        ValueError: it is not a single name: it has separators or control characters, or leads to the folder above.
    """
    if not name or name in (".", "..") or name != name.strip() or any(sign in name for sign in "/\\"):
        raise ValueError("the name of a single folder, without / or \\; --project says where it is made")
    if one_line(name) != name:
        raise ValueError("a name without control characters")
    return name

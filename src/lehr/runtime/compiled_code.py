"""Folders of compiled code, which torch and Triton load and run: only such as nobody else can write.

By default torch keeps it in /tmp/torchinductor_USER, whoever made that folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from lehr.runtime.cache_folder import make_cache_folder
from lehr.runtime.ownership import require_own_tree

INDUCTOR, TRITON = "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"
FOLDERS = {INDUCTOR: "compiled", TRITON: "kernels"}
"""Variables that name folders of compiled code, and their folders in the cache."""


def keep_compiled_code() -> None:
    """Have compiled code kept in the cache folder, unless the user names folders; check all of it before it is loaded.

    Raises:
        InputError: others could have changed it, or it cannot be kept.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    for variable, name in FOLDERS.items():
        given = os.environ.get(variable)
        if not given or given == default_cache_dir():  # torch names that one when it is imported
            os.environ[variable] = os.fspath(make_cache_folder(name).absolute())
        require_own_tree(Path(os.environ[variable]))

"""The heap lies in large pages, and takes no memory before it is used."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import ctypes, resource
from pathlib import Path
from lehr.runtime.malloc import tune_malloc
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tune_malloc()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
block = library.malloc(2**26)
inside = False
for line in Path("/proc/self/smaps").read_text().splitlines():
    words = line.split()
    if "-" in words[0] and not words[0].endswith(":"):
        low, high = (int(each, 16) for each in words[0].split("-"))
        inside = low <= block + 2**25 < high
    elif inside and words[0] == "VmFlags:":
        print("large" if "hg" in words else "small", after - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's heap is asked for large pages")
def test_the_heap_is_marked_for_large_pages_and_takes_no_memory() -> None:
    if Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2":
        pytest.skip("addresses count as memory here")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kind, kilobytes = done.stdout.split()
    assert kind == "large" and int(kilobytes) < 50_000

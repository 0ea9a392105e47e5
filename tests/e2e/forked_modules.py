"""Modules that Lehr starts in processes of their own, forked from the one that starts them: imports are there already.

They are processes otherwise, of their own streams, signals and session.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from tests.processes import Child

from lehr.runtime.signals import STOPPING

MANY = 4096
"""More files than a process of the tests has open."""


class ForkedModule(Child):
    """A module in a forked process, looked at as `subprocess.Popen` is.

    Args:
        module: has a function `main`, which returns an exit code.
        arguments: of the module.
        streams: standard input, output and error output, as `subprocess.Popen` takes them.
        new_session: whether it leads a session of its own.
    """

    def __init__(self, module: str, arguments: tuple[str, ...], streams: tuple[Any, Any, Any], new_session: bool):
        sys.stdout.flush()
        sys.stderr.flush()
        pipes = [os.pipe() if stream == subprocess.PIPE else None for stream in streams]
        theirs: list[int | None] = []
        for number, (stream, pipe) in enumerate(zip(streams, pipes, strict=True)):
            if pipe is not None:
                theirs.append(pipe[number > 0])
            elif stream == subprocess.DEVNULL:
                theirs.append(os.open(os.devnull, os.O_RDWR))
            else:
                theirs.append(None if stream is None else os.dup(stream.fileno()))
        self.pid = os.fork()
        if self.pid == 0:
            _work(module, arguments, theirs, new_session)
        for file in theirs:
            if file is not None:
                os.close(file)
        self.stdin = None if pipes[0] is None else os.fdopen(pipes[0][1], "w", encoding="utf-8")
        self.stdout = None if pipes[1] is None else os.fdopen(pipes[1][0], encoding="utf-8")

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def fork_module(
    module: str,
    *arguments: str,
    stdin: Any = None,
    stdout: Any = None,
    stderr: Any = None,
    text: bool = False,
    start_new_session: bool = False,
) -> ForkedModule:
    """Start a module as `lehr.runtime.child_process.start_module` does."""
    return ForkedModule(module, arguments, (stdin, stdout, stderr), start_new_session)


def _work(module: str, arguments: tuple[str, ...], streams: list[int | None], new_session: bool) -> NoReturn:
    """Be the new process."""
    code = 1
    try:
        gc.freeze()  # nothing of the other process is closed here
        for number, file in enumerate(streams):
            if file is not None:
                os.dup2(file, number)
        os.closerange(3, MANY)
        sys.stdin, sys.stdout, sys.stderr = (open(n, "r" if n == 0 else "w", closefd=False) for n in range(3))  # noqa: SIM115
        if new_session:
            os.setsid()
        for number in (*STOPPING, signal.SIGINT):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        sys.argv = [module, *arguments]
        main: Callable[[], int] = importlib.import_module(module).main
        code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

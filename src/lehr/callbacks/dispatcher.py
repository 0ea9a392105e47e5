"""Handing events to callbacks: in order, each guarded, so that a listener can neither end nor change a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lehr.callbacks.callback import EVENT_METHODS, Callback, Stateful
from lehr.callbacks.events import Event
from lehr.callbacks.run_info import Run
from lehr.checkpoint.snapshot import check_plain
from lehr.errors import InputError, LehrError
from lehr.runtime.console import LOGGER


class CallbackFailed(LehrError):
    """A callback raised an error, under `--strict-callbacks`."""


class Dispatcher:
    """Hands events to callbacks.

    The first failure of each method of a callback is reported through the logger `lehr`, with its traceback.

    Args:
        callbacks: listeners, called in this order.
        strict: raise what a callback raises instead of reporting it.
        is_main: whether this is rank 0; elsewhere only callbacks with `all_ranks` are called.

    Attributes:
        run: the run of the events, once it is prepared.

    Raises:
        InputError: one of them has no method of an event.
    """

    def __init__(self, callbacks: Sequence[object] = (), *, strict: bool = False, is_main: bool = True) -> None:
        for callback in callbacks:
            check_callback(callback)
        self._named = _named([each for each in callbacks if is_main or getattr(each, "all_ranks", False)])
        self._strict = strict
        self.run: Run | None = None
        self._told: set[tuple[str, str]] = set()
        self._listeners: dict[str, list[tuple[str, Callable[[Any], object]]]] = {}
        for name, callback in self._named.items():
            for method in EVENT_METHODS:
                listener = getattr(callback, method, None)
                inherited = getattr(type(callback), method, None) is getattr(Callback, method)
                if callable(listener) and not inherited:
                    self._listeners.setdefault(method, []).append((name, listener))

    def wants(self, method: str) -> bool:
        """Return whether anybody listens, so that an event nobody hears need not be made."""
        return method in self._listeners

    def emit(self, event: Event) -> None:
        """Send an event to every listener.

        Raises:
            CallbackFailed: one of them raised an error, and errors are strict.
        """
        for name, listener in self._listeners.get(event.method, ()):
            try:
                listener(event)
            except Exception as error:
                self._report(name, event.method, error)

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """Return the state of each callback that has one, by its name."""
        states = {}
        for name, callback in self._named.items():
            if isinstance(callback, Stateful):
                try:
                    state = callback.state_dict()
                    check_plain(state)
                except Exception as error:
                    self._report(name, "state_dict", error)
                else:
                    states[name] = state
        return states

    def load_state_dict(self, states: Mapping[str, dict[str, Any]]) -> None:
        """Give each callback its state of a checkpoint; those that it does not know keep theirs."""
        for name, callback in self._named.items():
            if name in states and isinstance(callback, Stateful):
                try:
                    callback.load_state_dict(states[name])
                except Exception as error:
                    self._report(name, "load_state_dict", error)

    def _report(self, name: str, method: str, error: Exception) -> None:
        what = f"Callback {name} failed in {method}: {type(error).__name__}: {error}"
        if self._strict:
            raise CallbackFailed(f"{what}\nThe run ends, since --strict-callbacks is given.") from error
        if (name, method) not in self._told:
            self._told.add((name, method))
            LOGGER.warning("%s. The run continues; the log has the traceback.", what, exc_info=error)


def check_callback(callback: object) -> None:
    """Check that an object listens to something.

    Raises:
        InputError: it is a class, or has no method of an event.
    """
    if inspect.isclass(callback):
        raise InputError(f"Callback {callback.__name__}: is a class; give an object of it, {callback.__name__}().")
    if not any(callable(getattr(callback, method, None)) for method in EVENT_METHODS):
        raise InputError(
            f"Callback {callback!r}: has no method of an event. Give it some of {', '.join(EVENT_METHODS[:4])}, ..."
        )


def _named(callbacks: Sequence[object]) -> dict[str, object]:
    """Callbacks by a name each: their own, else that of their class; further ones of a name get a number."""
    named: dict[str, object] = {}
    for callback in callbacks:
        own = getattr(callback, "name", None)
        base = own if isinstance(own, str) and own else f"{type(callback).__module__}.{type(callback).__qualname__}"
        name, number = base, 2
        while name in named:
            name, number = f"{base} #{number}", number + 1
        named[name] = callback
    return named

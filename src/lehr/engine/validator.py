"""Evaluations of a run: reported to listeners, stopped with the run, naming files that have disappeared."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from lehr.callbacks.dispatcher import Dispatcher
from lehr.callbacks.events import ValBatchEnd, ValEnd, ValStart
from lehr.distributed.collectives import Ranks
from lehr.engine.setup import Setup
from lehr.engine.validation import evaluate_older, validate
from lehr.evaluation.evaluator import Evaluation, EvaluationStopped
from lehr.runtime.stop_request import StopRequest

Evaluate = Callable[[Setup, Callable[[int], None], Callable[[], bool]], Evaluation | None]
"""Function that evaluates, given the run, a callback after each batch, and a function that returns whether to stop."""
End = Callable[[int], NoReturn]
"""Ends a run by a signal's number."""


class FaultNotes:
    """Reports files that have disappeared since a run started, each once.

    Args:
        ranks: the processes of the run.
        say: reports which file it is.
    """

    def __init__(self, ranks: Ranks, say: Callable[[str], None]) -> None:
        self._ranks = ranks
        self._say = say
        self._named: set[str] = set()

    def note(self, faults: tuple[str, ...]) -> None:
        """Report each missing file once."""
        for fault in faults:
            if fault not in self._named:
                self._named.add(fault)
                self._say(f"Image became unreadable during training, replaced: {fault}")

    def share(self) -> None:
        """Let rank 0 report the files that only other processes found missing."""
        for faults in self._ranks.all_gather(tuple(sorted(self._named))):
            self.note(faults)


class Validator:
    """Evaluates the weights of a run, on all of its processes.

    Args:
        setup: the run.
        callbacks: receives the events.
        stop: asks the run to stop.
        faults: reports missing files.
    """

    def __init__(
        self,
        setup: Setup,
        callbacks: Dispatcher,
        stop: StopRequest,
        faults: FaultNotes,
    ) -> None:
        self._setup = setup
        self._ranks = setup.ranks
        self._callbacks = callbacks
        self._stop = stop
        self._faults = faults

    def validate(self, end: End) -> tuple[Evaluation, Evaluation | None]:
        """Evaluate the weights on the validation split, and on older data if there are any.

        Args:
            end: ends the run by a signal's number, its state saved.
        """
        setup, run = self._setup, self._callbacks.run
        assert run is not None
        epoch, step = setup.state.epoch, setup.state.step
        self._callbacks.emit(ValStart(run, epoch, step))
        images = len(setup.val_samples)
        evaluation = self._done(validate, 0, images, end)
        assert evaluation is not None
        older = None if setup.older is None else self._done(evaluate_older, images, run.older_images, end)
        self._callbacks.emit(ValEnd(run, epoch, step, evaluation, older))
        return evaluation, older

    def on_older(self, end: End) -> Evaluation | None:
        """Evaluate the weights on the older data alone; None without older data.

        Args:
            end: ends the run by a signal's number, its state saved.
        """
        older = self._setup.older
        return None if older is None else self._done(evaluate_older, 0, len(older.val), end)

    def _done(self, evaluate: Evaluate, before: int, images: int, end: End) -> Evaluation | None:
        """Run an evaluation, unless the run is asked to stop.

        Args:
            evaluate: the evaluation.
            before: images of the validation already done.
            images: images of this evaluation.
            end: ends the run.
        """
        run, state, ranks = self._callbacks.run, self._setup.state, self._ranks
        place = f"the validation of epoch {state.epoch + 1}"

        def on_batch(done: int) -> None:
            ranks.at(place)
            if run is not None and self._callbacks.wants(ValBatchEnd.method):
                so_far = before + min(done * ranks.count, images)
                self._callbacks.emit(ValBatchEnd(run=run, epoch=state.epoch, done=so_far))
            if not ranks.is_distributed and (number := self._stop.signal_number) is not None:
                end(number)

        def stop() -> bool:
            return ranks.is_distributed and self._stop.signal_number is not None

        ranks.at(place)
        try:
            evaluation = evaluate(self._setup, on_batch, stop)
        except EvaluationStopped:
            end(next(filter(None, ranks.all_gather(self._stop.signal_number))))
        self._faults.share()
        self._faults.note(() if evaluation is None else evaluation.faults)
        return evaluation

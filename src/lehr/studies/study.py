"""A study that any number of workers on any number of machines share: its trials, each made exactly once.

The study has a fixed count of *slots*, one trial each. A worker takes a waiting trial, and the slot has ended when that
trial has. A trial whose worker was lost is marked as failed and its slot gets another with the same values; so does a
slot that has none for any other reason. After any interruption, filling the slots again repairs the study. Two workers
that fill at once may give a slot two trials; the one that was added later gives way when it is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError
from lehr.runtime.plain_text import one_line
from lehr.search.definition import Definition
from lehr.search.optuna_adapter import enqueued_values, move_trial, open_trial, set_attribute, storage_of
from lehr.search.records import Record, State, Value
from lehr.studies.comparison import require_same
from lehr.studies.contents import MAX_NOTE, SHOWN, DamagedStudy, bounds_of, checked_definition, require_bounds
from lehr.studies.storage import BROKEN, open_storage, placed
from lehr.studies.storage_url import shown

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

DEFINITION = "lehr"
"""Attribute of an Optuna study that says what it varies."""
SLOT, ATTEMPT, WORKER, PULSE, RESULT = "slot", "attempt", "worker", "pulse", "result"
"""Attributes of a trial."""
ADOPTION = 10.0
"""Seconds to wait for a study's definition, which its creator is about to write."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a trial.

    Attributes:
        state: finished, pruned, diverged or failed; None for one that is to be made again.
        fitness: of the best epoch.
        metrics: of the best epoch, by name.
        seconds: of the run.
        memory: most memory held, MiB.
        folder: the run, relative to the study's folder.
        note: note on its end.
        fault: whether it must be repeated because of its own failure.
    """

    state: State | None
    fitness: float | None = None
    metrics: Mapping[str, float] | None = None
    seconds: float | None = None
    memory: float | None = None
    folder: str = ""
    note: str = ""
    fault: bool = False


class SharedStudy:
    """A study in its storage.

    Args:
        study: Optuna's.
        definition: what it is about, as this process knows it: a storage may be changed by others.
        where: the storage, for messages.
    """

    def __init__(self, study: Study, definition: Definition, where: str) -> None:
        self.study = study
        self.definition = definition
        self._where = where
        self._bounds = bounds_of(definition)

    @property
    def fitness(self) -> str:
        """The fitness that the study maximises."""
        return str(self.definition.search["fitness"])

    def fill(self, slots: Sequence[Mapping[str, Value]]) -> None:
        """Give each slot a waiting trial that has neither one that waits or runs nor one that has ended.

        Args:
            slots: the values of each slot that are not the sampler's to choose.
        """
        of_slot = self._by_slot()
        for slot, fixed in enumerate(slots):
            trials = of_slot.get(slot, ())
            if any(_is_live(trial) or _has_ended(trial) for trial in trials):
                continue
            params = next((t.params for t in reversed(trials) if t.params), dict(fixed))
            self.study.enqueue_trial(dict(params), user_attrs={SLOT: slot, ATTEMPT: len(trials) + 1})

    def take(self, worker: str, sampler: Callable[[int], BaseSampler], pruner: BasePruner) -> Trial | None:
        """Claim a waiting trial for this worker; None if there is none.

        Args:
            worker: its name.
            sampler: makes the sampler of a slot.
            pruner: decides which trials are ended early.
        """
        from optuna import load_study
        from optuna.trial import TrialState

        for waiting in self._trials(TrialState.WAITING):
            if not move_trial(self.study, waiting, TrialState.RUNNING):
                continue
            senior = [t for t in self._by_slot()[waiting.user_attrs[SLOT]] if t.number < waiting.number]
            if any(_is_live(trial) or _has_ended(trial) for trial in senior):
                set_attribute(self.study, waiting, RESULT, {"note": "doubled"})
                move_trial(self.study, waiting, TrialState.FAIL)
                continue
            set_attribute(self.study, waiting, WORKER, worker)
            # A study object reads its trials once; this one has those that others have ended since.
            study = load_study(
                study_name=self.study.study_name,
                storage=storage_of(self.study),
                sampler=sampler(waiting.user_attrs[SLOT]),
                pruner=pruner,
            )
            with drawing(waiting.user_attrs[SLOT]):
                return open_trial(study, waiting)
        return None

    def faults(self, slot: int) -> int:
        """Count how often a slot's trial has failed on its own."""
        return sum(bool(trial.user_attrs.get(RESULT, {}).get("fault")) for trial in self._by_slot().get(slot, ()))

    def beat(self, trial: Trial, count: int) -> None:
        """Report that a trial's worker is alive."""
        set_attribute(self.study, trial, PULSE, count)

    def tell(self, trial: Trial, result: Result) -> bool:
        """End a trial; False if it was already ended because its worker counted as lost."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        states = {"finished": TrialState.COMPLETE, "diverged": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        state = states.get(result.state or "", TrialState.FAIL)
        try:
            set_attribute(self.study, trial, RESULT, asdict(replace(result, note=result.note[:MAX_NOTE])))
            values = result.fitness if state == TrialState.COMPLETE else None
            trial.study.tell(trial.number, values, state)
        except (UpdateFinishedTrialError, ValueError):
            return False
        return True

    def take_back(self, trials: Iterable[FrozenTrial], why: str) -> int:
        """End trials whose worker was lost, so that their slots get others.

        Returns:
            How many were; others may have been quicker.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        count = 0
        for trial in trials:
            try:
                set_attribute(self.study, trial, RESULT, asdict(Result(None, note=why)))
                count += move_trial(self.study, trial, TrialState.FAIL)
            except UpdateFinishedTrialError:
                continue
        return count

    def running(self) -> list[FrozenTrial]:
        """The trials that somebody has taken."""
        from optuna.trial import TrialState

        return self._trials(TrialState.RUNNING)

    def records(self, slots: int) -> list[Record]:
        """Return how each slot stands, those too that others have asked for.

        Args:
            slots: how many there are.
        """
        of_slot = self._by_slot()
        return [_record(slot, of_slot.get(slot, [])) for slot in sorted({*range(slots), *of_slot})]

    def _trials(self, *states: Any) -> list[FrozenTrial]:
        """Lehr's trials, the oldest first, as they are in the storage now.

        Raises:
            DamagedStudy: one of them has values that the study does not vary.
        """
        found = self.study.get_trials(deepcopy=False, states=states or None)
        mine = [trial for trial in found if SLOT in trial.user_attrs]
        if self._bounds is not None:
            try:
                for trial in mine:
                    require_bounds(trial, self._bounds)
            except DamagedStudy as error:
                raise placed(error, self._where) from None
        return sorted(mine, key=lambda trial: trial.number)

    def _by_slot(self) -> dict[int, list[FrozenTrial]]:
        found: dict[int, list[FrozenTrial]] = {}
        for trial in self._trials():
            found.setdefault(trial.user_attrs[SLOT], []).append(trial)
        return found


def open_study(url: str, name: str, definition: Definition, patience: float) -> SharedStudy:
    """Create a study, or join the one of this name.

    Args:
        url: its storage, as `storage_url` gives it.
        name: its name in the storage.
        definition: what it is about.
        patience: seconds that a storage which was reached once is waited for.

    Raises:
        InputError: the storage cannot be used, or the study of this name is about something else.
    """
    import optuna

    storage, where = open_storage(url, patience), shown(url)
    try:
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
        study.set_user_attr(DEFINITION, asdict(definition))
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
        there = _definition_of(study, definition, where)
        with _names_storage(where):
            require_same(there, definition, f"{where}: the study '{name}'")
        fitness = {"fitness": there.search["fitness"]} if "fitness" in there.search else {}
        definition = replace(definition, search={**definition.search, **fitness})
    return SharedStudy(study, definition, where)


def join_study(
    url: str, name: str, patience: float, definition: Definition | None = None
) -> tuple[SharedStudy, Definition]:
    """Join a study that is there, as a worker does.

    Args:
        url: its storage, as `storage_url` gives it.
        name: its name in the storage.
        patience: seconds that a storage which was reached once is waited for.
        definition: what it is about, as it was compared when it was opened; None for what the storage says.

    Raises:
        InputError: the storage cannot be used, or has no such study.
    """
    import optuna

    storage, where = open_storage(url, patience), shown(url)
    study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
    if definition is None:
        with _names_storage(where):
            definition = checked_definition(study.user_attrs.get(DEFINITION))
    return SharedStudy(study, definition, where), definition


def _definition_of(study: Study, mine: Definition, where: str) -> Definition:
    """Return what a study is about; if it has no definition yet, store this one.

    Raises:
        InputError: it belongs to someone else.
    """
    end = time.monotonic() + ADOPTION
    while DEFINITION not in study.user_attrs:
        if study.get_trials(deepcopy=False):
            raise InputError(
                f"The study '{study.study_name}' in that storage was not made by Lehr. Choose another --name."
            )
        if time.monotonic() > end:  # it was killed on its way
            study.set_user_attr(DEFINITION, asdict(mine))
        time.sleep(0.1)
    with _names_storage(where):
        return checked_definition(study.user_attrs[DEFINITION])


@contextmanager
def drawing(slot: int) -> Iterator[None]:
    """Say in a message that a slot's values could not be drawn from what a study holds of other trials.

    Raises:
        DamagedStudy: a sampler failed on it.
    """
    try:
        yield
    except BROKEN as error:
        said = one_line(str(error)[:SHOWN])
        raise DamagedStudy(
            f"Trial {slot}: no values can be drawn from what the study holds of others ({type(error).__name__}: "
            f"{said}). Choose another --sampler, --name or --storage.",
            placed=True,
        ) from None


@contextmanager
def _names_storage(where: str) -> Iterator[None]:
    """Name the storage in what is said of a damaged study."""
    try:
        yield
    except DamagedStudy as error:
        raise placed(error, where) from None


def _is_live(trial: FrozenTrial) -> bool:
    return not trial.state.is_finished()


def _has_ended(trial: FrozenTrial) -> bool:
    """Return whether a trial is the end of its slot."""
    return trial.state.is_finished() and _state(trial) is not None


def _state(trial: FrozenTrial) -> State | None:
    """Return how a trial stands; None if it must be repeated."""
    from optuna.trial import TrialState

    told: State | None = trial.user_attrs.get(RESULT, {}).get("state")
    if trial.state == TrialState.COMPLETE:
        return "diverged" if told == "diverged" else "finished"
    if trial.state == TrialState.PRUNED:
        return "pruned"
    if trial.state == TrialState.FAIL:
        return "failed" if told == "failed" else None
    return "running" if trial.state == TrialState.RUNNING else "waiting"


def _record(slot: int, trials: Sequence[FrozenTrial]) -> Record:
    """Derive a slot from its trials, oldest first."""
    ended = [trial for trial in trials if _has_ended(trial)]
    live = [trial for trial in trials if _is_live(trial)]
    if not trials:
        return Record(slot, "waiting", {}, attempts=0)
    trial = (ended or live or [trials[-1]])[0]
    result = trial.user_attrs.get(RESULT, {})
    course = tuple(value for _, value in sorted(trial.intermediate_values.items()))
    fitness = result.get("fitness")
    return Record(
        slot=slot,
        state=_state(trial) or "waiting",
        params=trial.params or enqueued_values(trial),
        fitness=max(course, default=None) if fitness is None else fitness,
        course=course,
        metrics=result.get("metrics") or {},
        seconds=result.get("seconds"),
        memory=result.get("memory"),
        worker=trial.user_attrs.get(WORKER, ""),
        folder=result.get("folder", ""),
        attempts=int(trial.user_attrs.get(ATTEMPT, 1)),
        note=result.get("note", ""),
    )

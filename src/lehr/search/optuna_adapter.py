"""Optuna beyond its public API, in one place: a new version of it is checked against this list.

By its public API one may ask for a trial, but not for a certain one of those that wait, nor end the trial of a worker
that was lost. That takes the storage's own interface, which Optuna keeps for itself (`BaseStorage`: "not supposed to be
directly accessed by library users"). Nothing else in Lehr touches what begins with an underscore there;
`tests/search/test_optuna_adapter.py` names each of them and fails when one is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseGASampler
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.engine import Engine

CACHE_REQUESTS = ("_create_new_trial", "_get_trials", "_set_trial_param", "_get_best_trial_id")
"""Methods of a database's storage that only Optuna's cache before it calls; the last two came with 4.7 and 4.6."""
NO_REQUESTS = frozenset({"remove_session"})
"""Methods of a storage that ask nothing of its database."""
CMA_GENERATION = "cma:generation"
"""System attribute that says which generation of CMA-ES a trial belongs to; Optuna's own sampler has it too."""


def storage_of(study: Study) -> BaseStorage:
    """The storage of a study, with the cache that Optuna puts before a database."""
    return study._storage


def move_trial(study: Study, trial: FrozenTrial, state: TrialState) -> bool:
    """Take a waiting trial, or end one; False if somebody else was quicker.

    Args:
        study: whose trial it is.
        trial: as it was read; it may have changed since.
        state: RUNNING, FAIL, or another that needs no value.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    try:
        return study._storage.set_trial_state_values(trial._trial_id, state)
    except UpdateFinishedTrialError:
        return False


def set_attribute(study: Study, trial: FrozenTrial | Trial, name: str, value: Any) -> None:
    """Write a user attribute of a trial, also of another worker's.

    Raises:
        UpdateFinishedTrialError: the trial has ended.
    """
    study._storage.set_trial_user_attr(trial._trial_id, name, value)


def open_trial(study: Study, trial: FrozenTrial) -> Trial:
    """Wrap a trial that this process has taken, to set its values and report on it."""
    from optuna import Trial

    return Trial(study, trial._trial_id)


def trials_at_start(study: Study, states: Iterable[TrialState]) -> list[FrozenTrial]:
    """The trials as of the beginning of the one that is being sampled: all that a sampler asks is of one moment."""
    return study._get_trials(deepcopy=False, states=tuple(states), use_cache=True)


def kept_generation(sampler: BaseGASampler, trial: FrozenTrial) -> int | None:
    """The generation that was written for a trial; None if none was."""
    found = trial.system_attrs.get(sampler._get_generation_key())
    return None if found is None else int(found)


def keep_generation(sampler: BaseGASampler, study: Study, trial: FrozenTrial, generation: int) -> None:
    """Write the generation of a trial, where Optuna looks for it when it selects parents."""
    study._storage.set_trial_system_attr(trial._trial_id, sampler._get_generation_key(), generation)


def kept_cma_generation(trial: FrozenTrial) -> int | None:
    """The generation of CMA-ES that a trial belongs to; None if it belongs to none."""
    found = trial.system_attrs.get(CMA_GENERATION)
    return found if isinstance(found, int) else None


def keep_cma_generation(study: Study, trial: FrozenTrial, generation: int) -> None:
    """Write which generation of CMA-ES a trial belongs to."""
    study._storage.set_trial_system_attr(trial._trial_id, CMA_GENERATION, generation)


def enqueued_values(trial: FrozenTrial) -> dict[str, Any]:
    """The values that a trial was enqueued with; it has no others before it runs."""
    return dict(trial.system_attrs.get("fixed_params", {}))


def database_requests(storage: RDBStorage) -> list[str]:
    """Names of the methods by which Optuna asks a database: all that fail when it cannot be reached."""
    from optuna.storages import BaseStorage, RDBStorage

    public = {name for name in vars(BaseStorage) if not name.startswith("_")} & vars(RDBStorage).keys() - NO_REQUESTS
    return [*sorted(public), *(name for name in CACHE_REQUESTS if hasattr(storage, name))]


def public_requests() -> list[str]:
    """Names of the methods by which any storage is asked."""
    from optuna.storages import BaseStorage

    return sorted({name for name in vars(BaseStorage) if not name.startswith("_")} - NO_REQUESTS)


def trial_id(trial: FrozenTrial) -> int:
    """The number by which a storage knows a trial."""
    return trial._trial_id


def engine_of(storage: BaseStorage) -> Engine:
    """SQLAlchemy's engine of a storage in a database, with Optuna's cache before it or without."""
    database: Any = getattr(storage, "_backend", storage)
    return cast("Engine", database.engine)


def drop_session(storage: RDBStorage) -> None:
    """Drop the session of a request that failed; the next one takes a new connection."""
    try:
        storage.scoped_session.remove()
    except Exception:  # closing a connection that is gone may fail in any way; it is gone then
        storage.scoped_session.registry.clear()

"""MLflow: a run in the local store `mlflow.db` (SQLite) next to the runs, or wherever MLFLOW_TRACKING_URI says.

MLflow's store in plain files (`mlruns`) is deprecated since its version 3.7, in favour of SQLite.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

from lehr.callbacks.logger import STEP, LoggedRun, Logger, Reached, Scalars, missing_package
from lehr.runtime.reading import create_beside

URI, TELEMETRY = "MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY"
EXPERIMENT = "lehr"
"""Experiment of the runs, where MLFLOW_EXPERIMENT_NAME names no other."""
DATABASE = "mlflow.db"
ID_TAG = "lehr.id"
MAX_BATCH, MAX_VALUE = 100, 6000
"""Options that MLflow takes at once, and the characters of one."""
PENDING = 900
"""Scalars that are written at once; MLflow takes 1,000."""


class MlflowLogger(Logger):
    """Logs a run to MLflow: options as parameters, scalars of steps over batches, those of epochs over epochs.

    Raises:
        InputError: mlflow, or mlflow-skinny with what its SQLite store needs, is not installed.
    """

    name = "mlflow"

    def __init__(self) -> None:
        os.environ.setdefault(TELEMETRY, "true")  # else its use is reported over the network
        try:
            import alembic  # noqa: F401 (which the store needs, and mlflow-skinny does not bring)
            import sqlalchemy  # noqa: F401
            from mlflow.entities import Metric, Param
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise missing_package(self.name, error) from None
        logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)  # it names each table that it makes
        self._metric, self._param, self._make = Metric, Param, MlflowClient
        self._client: Any = None
        self._run = ""
        self._pending: list[Any] = []

    def begin(self, run: LoggedRun) -> Reached:
        """Find the run by its tag, or make it."""
        uri = os.environ.get(URI)
        if not uri:
            self._make_database(run.project / DATABASE)
            uri = f"sqlite:///{run.project / DATABASE}"
        self._client = client = self._make(uri)
        experiment = self._experiment(run)
        found = client.search_runs([experiment], f"tags.`{ID_TAG}` = '{run.id}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            client.update_run(self._run, status="RUNNING")
            return Reached(self._last(f"{STEP}momentum"), self._last("epoch"))
        tags = {ID_TAG: run.id, "lehr.folder": str(run.folder)}
        self._run = client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
        params = [self._param(name, str(value)[:MAX_VALUE]) for name, value in run.options.items()]
        for start in range(0, len(params), MAX_BATCH):
            client.log_batch(self._run, params=params[start : start + MAX_BATCH])
        client.log_dict(self._run, dict(run.about), "about.json")
        return Reached()

    def log(self, scalars: Scalars) -> None:
        """Take scalars; they are written together with others, which is many times faster."""
        step, time = scalars.step if scalars.epoch is None else scalars.epoch, int(scalars.time * 1000)
        if len(self._pending) + len(scalars.values) > PENDING:
            self.flush()
        self._pending += [self._metric(name, value, time, step) for name, value in scalars.values.items()]

    def image(self, name: str, file: Path, step: int) -> None:
        """Keep an image as an artifact."""
        self._client.log_artifact(self._run, str(file), "images")

    def artifact(self, file: Path) -> None:
        """Keep a file as an artifact."""
        self._client.log_artifact(self._run, str(file))

    def flush(self) -> None:
        """Write what is pending, in one transaction."""
        pending, self._pending = self._pending, []
        if pending:
            self._client.log_batch(self._run, metrics=pending)

    def close(self, finished: bool) -> None:
        """Set the status of the run."""
        if self._run:
            self.flush()
            self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")

    def _make_database(self, path: Path) -> None:
        """Make an empty store if there is none, whole or not at all: a kill would leave one that nobody can open."""
        if path.exists():
            return
        handle, temporary = create_beside(path)
        os.close(handle)
        try:
            self._make(f"sqlite:///{temporary}").search_experiments(max_results=1)
            with contextlib.suppress(FileExistsError):  # another run was quicker
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _experiment(self, run: LoggedRun) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        local = None if os.environ.get(URI) else (run.project / "mlartifacts").as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=local))
        except Exception:  # another run was quicker
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _last(self, name: str) -> int:
        """The step of the newest value of a metric; -1 for none."""
        return max((metric.step for metric in self._client.get_metric_history(self._run, name)), default=-1)

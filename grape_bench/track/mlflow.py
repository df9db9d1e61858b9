"""Records as MLflow runs: an experiment `grape_bench/<suite>@<version>` with nested runs sweep -> cell -> job.

A cell is one rule on one task.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from grape_bench.errors import UserError, redacted, unknown
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, SUITE
from grape_bench.record.record import RECORD, STDERR, Record
from grape_bench.record.table import CURVE, DIAGNOSTICS
from grape_bench.track.database import SQLITE, database_of, prepare, replace_empty
from grape_bench.track.runs import Runs, read_jobs
from grape_bench.track.store import Store, Sweep
from grape_bench.track.uri import VARIABLE
from grape_bench.track.values import (
    TAG_LENGTH,
    changed_names,
    curve_values,
    diagnostics_values,
    live_tags,
    metric_values,
    parameter_values,
    row_values,
    tag_values,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo

PARENT = "mlflow.parentRunId"
PREFIX = "grape_bench/"
_COPIED = (RECORD, CURVE, DIAGNOSTICS, STDERR, "torchrun.txt", "slurm.json")
_LARGEST = 64 << 20  # bytes; a log is far smaller (execute/capped_log.py)
_BATCH_METRICS, _BATCH_PARAMS, _RUN_NAME_LENGTH = 1000, 100, 250  # the MLflow server's limits


class MlflowStore(Store):
    """One sweep in one tracking store. Lets MlflowException, OSError and errors of requests propagate."""

    def __init__(self, uri: str, sweep: Sweep) -> None:
        super().__init__(uri, sweep)
        self.client, self.note = connect(uri)
        self.place = redacted(uri if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}")
        self.experiment_name = f"{PREFIX}{sweep.suite}@{sweep.version}"
        self.experiment = self._experiment(uri, self.experiment_name)
        self._jobs: dict[str, list[tuple[str, str]]] = {}  # job id -> runs, and when their record ended
        self._cells: dict[tuple[str, str], str] = {}
        self._live: dict[str, str] = {}  # job id -> the run that shows its curve while it runs
        for run in self._existing():
            tags = run.data.tags
            if "grape.job_id" in tags:
                # The status is set last: a run that still says RUNNING was interrupted, and will be replaced.
                complete = run.info.status != "RUNNING"
                ended = tags.get("grape.ended", "") if complete else ""
                self._jobs.setdefault(tags["grape.job_id"], []).append((run.info.run_id, ended))
            elif "grape.rule" in tags:
                self._cells[tags["grape.task"], tags["grape.rule"]] = run.info.run_id

    @override
    def add(self, record: Record) -> bool:
        """Create the run of a job, unless this record already has one. Deletes the runs of earlier attempts."""
        known = self._jobs.get(record.id, [])
        kept = next((run for run, ended in known if ended == record.ended), None)
        copied = kept is None
        if kept is None:
            kept = self._copied(record)
        for run, _ in known:
            if run != kept:
                self.client.delete_run(run)
        self._jobs[record.id] = [(kept, record.ended)]
        self._live.pop(record.id, None)
        return copied

    @override
    def follow(self, job: Job, row: Mapping[str, Any]) -> None:
        """Show the latest evaluation of a running job, in an MLflow run of its own. `add` replaces that run."""
        from mlflow.entities import Metric

        if job.id not in self._live:
            run = str(self._create(job.name, live_tags(job), self._cell(job.task, job.rule), None).run_id)
            self._live[job.id] = run
            self._jobs.setdefault(job.id, []).append((run, ""))
        now = int(time.time() * 1000)
        values = [Metric(value.name, value.value, now, value.step) for value in row_values(row) if value.finite]
        self.client.log_batch(self._live[job.id], metrics=values)

    def _copied(self, record: Record) -> str:
        run = self._create(record.name, tag_values(record), self._cell(record.task, record.rule), _ms(record.started))
        folder = self.sweep.folder / record.name
        self._log(run.run_id, record, folder)
        if folder.is_dir():
            self._copy(folder, run)
        self.client.set_terminated(run.run_id, "FINISHED" if record.status.is_result else "FAILED", _ms(record.ended))
        return str(run.run_id)

    @override
    def attach(self, folder: Path) -> None:
        """Upload the files in `folder` to the run of the sweep."""
        for file in sorted(folder.iterdir()):
            self.client.log_artifact(self._root, str(file))

    @override
    def close(self, complete: bool) -> None:
        """End the runs of the sweep and its cells, and upload the manifest and the suite."""
        for file in (MANIFEST, SUITE):
            if (self.sweep.folder / file).is_file():
                self.client.log_artifact(self._root, str(self.sweep.folder / file))
        for run_id in self._live.values():  # their jobs did not end
            self.client.set_terminated(run_id, "KILLED")
        for run_id in (*self._cells.values(), self._root):
            self.client.set_terminated(run_id, "FINISHED" if complete else "KILLED")

    def _experiment(self, uri: str, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found and found.lifecycle_stage == "deleted":
            restore = f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
            hint = f"{restore} with {VARIABLE}={redacted(uri)}, or `mlflow gc` to remove it for good"
            raise UserError(f"the experiment {name} was deleted in MLflow", where=redacted(uri), hint=hint)
        if found:
            return str(found.experiment_id)
        location = None  # the server's default; for a database file, a folder next to it
        if path := database_of(uri):
            location = (path.resolve().parent / "mlartifacts" / name.partition("/")[2]).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def _existing(self) -> list[Any]:
        """Return every run of this sweep."""
        return _pages(self.client, self.experiment, f"tags.`grape.sweep` = '{self.sweep.id}'")

    @cached_property
    def _root(self) -> str:
        query = f"tags.`grape.sweep` = '{self.sweep.id}' and tags.`grape.level` = 'sweep'"
        found = self.client.search_runs([self.experiment], query, max_results=1)
        if found:
            self.client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        root = self._create(f"{self.sweep.suite} {self.sweep.id[:8]}", {"grape.level": "sweep"}, None, None)
        return str(root.run_id)

    def _cell(self, task: str, rule: str) -> str:
        key = (task, rule)
        if key not in self._cells:
            tags = {"grape.level": "cell", "grape.task": key[0], "grape.rule": key[1]}
            self._cells[key] = self._create(" ".join(key), tags, self._root, None).run_id
        return self._cells[key]

    def _create(self, name: str, tags: dict[str, str], parent: str | None, start: int | None) -> RunInfo:
        tags = {**tags, "grape.sweep": self.sweep.id, "grape.folder": str(self.sweep.folder)}
        if parent:
            tags[PARENT] = parent
        return self.client.create_run(self.experiment, start, tags, name[:_RUN_NAME_LENGTH]).info

    def _copy(self, folder: Path, run: RunInfo) -> None:
        """Upload the harness's own files in `folder` as the run's artifacts, but no file that a rule wrote there.

        MlflowClient.log_artifact would first read the whole run back.
        """
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        store = get_artifact_repository(run.artifact_uri, tracking_uri=self.uri)
        for name in _COPIED:
            path = folder / name
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
                store.log_artifact(str(path))

    def _log(self, run_id: str, record: Record, folder: Path) -> None:
        """Log parameters and metrics. The step of a metric is the number of samples seen when it was measured."""
        from mlflow.entities import Metric, Param, RunTag

        tables = [*curve_values(folder, record), *diagnostics_values(folder, record)]
        values = [*tables, *metric_values(record)]
        left_out = sorted({value.name for value in values if not value.finite})
        end = _ms(record.ended)
        metrics = [Metric(value.name, value.value, end, value.step) for value in values if value.finite]
        params = [Param(key, text) for key, text in parameter_values(record.job).items()]
        tags = [RunTag(key, text) for key, text in changed_names(folder, record).items()]
        # The database turns inf into 1.8e308 and drops NaN, so a tag lists the metrics that are not finite.
        tags += [RunTag("grape.not_finite", ",".join(left_out)[:TAG_LENGTH])] if left_out else []
        for start in range(0, len(metrics), _BATCH_METRICS):
            self.client.log_batch(run_id, metrics[start : start + _BATCH_METRICS])
        for start in range(0, max(len(params), len(tags)), _BATCH_PARAMS):
            part = slice(start, start + _BATCH_PARAMS)
            self.client.log_batch(run_id, params=params[part], tags=tags[part])


def read_experiment(uri: str, name: str) -> Runs:
    """Return the records and curves of the experiment `grape_bench/<name>` (such as quickstart@1.0).

    If a job has several runs, the newest counts. Raises UserError if the experiment does not exist or has no jobs.
    """
    path = database_of(uri)
    if path and not path.is_file():
        hint = "grape-bench sync runs/SUITE makes one; or --tracking-uri URI"
        raise UserError("no MLflow store at this path", where=str(path), hint=hint)
    client, _ = connect(uri)
    full = name if name.startswith(PREFIX) else f"{PREFIX}{name}"
    experiment = client.get_experiment_by_name(full)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        known = [e.name.removeprefix(PREFIX) for e in client.search_experiments() if e.name.startswith(PREFIX)]
        raise unknown(
            "MLflow experiment", name, known, where=redacted(uri), hint="mlflow:SUITE@VERSION, --tracking-uri URI"
        )
    runs = _pages(client, str(experiment.experiment_id), "tags.`grape.level` = 'job'")
    newest = {_tag(run, "grape.job_id"): run for run in sorted(runs, key=lambda run: _tag(run, "grape.ended"))}
    if not newest:
        raise UserError("this experiment has no jobs", where=f"{redacted(uri)}: {full}")
    with TemporaryDirectory() as folder:
        for number, run in enumerate(newest.values()):
            target = Path(folder) / f"{number:06}"  # no name from the store: it may be a path
            target.mkdir()
            for file in client.list_artifacts(run.info.run_id):
                if file.path in (RECORD, CURVE, DIAGNOSTICS):
                    client.download_artifacts(run.info.run_id, file.path, str(target))
        return read_jobs(sorted(Path(folder).iterdir()))


def _tag(run: Any, name: str) -> str:
    """The value of a tag, or "" for a run that is not ours."""
    return str(run.data.tags.get(name, ""))


def _pages(client: MlflowClient, experiment: str, query: str) -> list[Any]:
    """Return every run that matches, from all pages."""
    runs: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def connect(uri: str) -> tuple[MlflowClient, str]:
    """Return a client of the store `uri`, and a note for the user if a damaged database was set aside.

    Raises UserError for a database of another program or of another version of MLflow.
    """
    _quiet()
    from mlflow import MlflowClient

    path = database_of(uri)
    if path is None:
        return MlflowClient(uri), ""
    note = prepare(path)
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except Exception as error:  # of MLflow, SQLAlchemy or alembic
        if "out-of-date" in str(error):
            hint = f"copy the file, then `mlflow db upgrade {redacted(uri)}`"
            raise UserError("another version of MLflow wrote this database", where=str(path), hint=hint) from error
        note = replace_empty(path, error)
        # MLflow keeps its connection to the file that was set aside, under the old spelling of the path.
        client = MlflowClient(f"{SQLITE}{path.resolve().parent}/./{path.name}")
    return client, note


def _quiet() -> None:
    """Make MLflow print nothing, send no telemetry, and give up on a dead server within seconds."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import mlflow  # noqa: F401 (it sets up its loggers on import)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # MLflow resets the loggers of its migrations. This one prints when a database is first used.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)


def _ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)

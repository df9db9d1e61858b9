"""Records as MLflow runs: an experiment `grape_bench/<suite>@<version>` with nested runs sweep -> cell -> job.

A cell is one rule on one task.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from grape_bench.errors import UserError, unknown
from grape_bench.record.record import RECORD, Record
from grape_bench.record.table import CURVE, DIAGNOSTICS
from grape_bench.track.mirror import Sweep
from grape_bench.track.runs import Runs, read_jobs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from grape_bench.record.job import Job
from grape_bench.record.table import read_curve, read_diagnostics
from grape_bench.record.typed_json import encode

PARENT = "mlflow.parentRunId"
PREFIX = "grape_bench/"
_BATCH_METRICS, _BATCH_PARAMS, _PARAM_LENGTH = 1000, 100, 6000  # the MLflow server's limits


class MlflowStore:
    """One sweep in one tracking store. Lets MlflowException, OSError and errors of requests propagate."""

    def __init__(self, uri: str, sweep: Sweep) -> None:
        self.client = _client(uri)
        self.uri, self.sweep = uri, sweep
        self.experiment_name = f"{PREFIX}{sweep.suite}@{sweep.version}"
        self.experiment = self._experiment(uri, self.experiment_name)
        self._jobs: dict[str, tuple[str, str]] = {}  # job id -> (run, when the mirrored record ended)
        self._cells: dict[tuple[str, str], str] = {}
        for run in self._existing():
            tags = run.data.tags
            if "grape.job_id" in tags:
                # The status is set last: a run that still says RUNNING was interrupted, and will be replaced.
                complete = run.info.status != "RUNNING"
                self._jobs[tags["grape.job_id"]] = (run.info.run_id, tags["grape.ended"] if complete else "")
            elif "grape.rule" in tags:
                self._cells[tags["grape.task"], tags["grape.rule"]] = run.info.run_id

    def add(self, record: Record) -> bool:
        """Create the run of a job, unless this record already has one. Replaces the run of an earlier attempt."""
        known = self._jobs.get(record.id)
        if known and known[1] == record.ended:
            return False
        if known:
            self.client.delete_run(known[0])
        run = self._create(record.name, tag_values(record), self._cell(record), _ms(record.started))
        folder = self.sweep.folder / record.name
        self._log(run.run_id, record, folder)
        if folder.is_dir():
            self._copy(folder, run)
        self.client.set_terminated(run.run_id, "FINISHED" if record.status.is_result else "FAILED", _ms(record.ended))
        self._jobs[record.id] = (run.run_id, record.ended)
        return True

    def close(self, complete: bool) -> None:
        """End the runs of the sweep and its cells, and upload the manifest and the suite."""
        for file in ("manifest.json", "suite.toml"):
            if (self.sweep.folder / file).is_file():
                self.client.log_artifact(self._root, str(self.sweep.folder / file))
        for run_id in (*self._cells.values(), self._root):
            self.client.set_terminated(run_id, "FINISHED" if complete else "KILLED")

    def _experiment(self, uri: str, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found:
            return str(found.experiment_id)
        location = None  # the server's default; for a database file, a folder next to it
        if uri.startswith("sqlite:///"):
            database = Path(uri.removeprefix("sqlite:///")).resolve()
            location = (database.parent / "mlartifacts" / name.partition("/")[2]).as_uri()
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

    def _cell(self, record: Record) -> str:
        key = (record.task, record.rule)
        if key not in self._cells:
            tags = {"grape.level": "cell", "grape.task": key[0], "grape.rule": key[1]}
            self._cells[key] = self._create(" ".join(key), tags, self._root, None).run_id
        return self._cells[key]

    def _create(self, name: str, tags: dict[str, str], parent: str | None, start: int | None) -> RunInfo:
        tags = {**tags, "grape.sweep": self.sweep.id, "grape.folder": str(self.sweep.folder)}
        if parent:
            tags[PARENT] = parent
        return self.client.create_run(self.experiment, start, tags, name).info

    def _copy(self, folder: Path, run: RunInfo) -> None:
        """Upload `folder` as the run's artifacts. MlflowClient.log_artifacts would first read the whole run back."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(run.artifact_uri, tracking_uri=self.uri).log_artifacts(str(folder))

    def _log(self, run_id: str, record: Record, folder: Path) -> None:
        """Log parameters and metrics. The step of a metric is the number of samples seen when it was measured."""
        from mlflow.entities import Metric, Param, RunTag

        tables = [*curve_values(folder, record), *diagnostics_values(folder, record)]
        values = [*tables, *metric_values(record)]
        left_out = sorted({value.name for value in values if not value.finite})
        end = _ms(record.ended)
        metrics = [Metric(value.name, value.value, end, value.step) for value in values if value.finite]
        params = [Param(key, text[:_PARAM_LENGTH]) for key, text in parameter_values(record.job).items()]
        # The database turns inf into 1.8e308 and drops NaN, so a tag lists the metrics that are not finite.
        tags = [RunTag("grape.not_finite", ",".join(left_out))] if left_out else []
        self.client.log_batch(run_id, metrics[:_BATCH_METRICS], params[:_BATCH_PARAMS], tags)
        for start in range(_BATCH_METRICS, len(metrics), _BATCH_METRICS):
            self.client.log_batch(run_id, metrics[start : start + _BATCH_METRICS])
        for start in range(_BATCH_PARAMS, len(params), _BATCH_PARAMS):
            self.client.log_batch(run_id, params=params[start : start + _BATCH_PARAMS])


def read_experiment(uri: str, name: str) -> Runs:
    """Return the records and curves of the experiment `grape_bench/<name>` (such as quickstart@1.0).

    Of several runs of a job, the newest counts. Raises UserError if the experiment does not exist or has no jobs.
    """
    client = _client(uri)
    full = name if name.startswith(PREFIX) else f"{PREFIX}{name}"
    experiment = client.get_experiment_by_name(full)
    if experiment is None:
        known = [e.name.removeprefix(PREFIX) for e in client.search_experiments() if e.name.startswith(PREFIX)]
        raise unknown("MLflow experiment", name, known, where=uri, hint="mlflow:SUITE@VERSION, --tracking-uri URI")
    runs = _pages(client, str(experiment.experiment_id), "tags.`grape.level` = 'job'")
    newest = {run.data.tags["grape.job_id"]: run for run in sorted(runs, key=lambda run: run.data.tags["grape.ended"])}
    if not newest:
        raise UserError("this experiment has no jobs", where=f"{uri}: {full}")
    with TemporaryDirectory() as folder:
        for identity, run in newest.items():
            target = Path(folder) / identity
            target.mkdir()
            for file in client.list_artifacts(run.info.run_id):
                if file.path in (RECORD, CURVE, DIAGNOSTICS):
                    client.download_artifacts(run.info.run_id, file.path, str(target))
        return read_jobs(sorted(Path(folder).iterdir()))


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


def _client(uri: str) -> MlflowClient:
    """Return a client that prints nothing, sends no telemetry, and gives up on a dead server within seconds."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # MLflow resets the loggers of its migrations. This one prints when a database is first used.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    return MlflowClient(uri)


def _ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


# The parts of a record that hold measurements.
_GROUPS = ("result", "time", "memory", "profile", "credit", "diagnostics")


@dataclass(frozen=True)
class Value:
    """A measured number. `step` is the number of training samples seen."""

    name: str
    value: float
    step: int

    @property
    def finite(self) -> bool:
        """Whether a database can store the number."""
        return math.isfinite(self.value)


def curve_values(folder: Path, record: Record) -> list[Value]:
    """Return every number in curve.csv except the step; an empty list if there is no file."""
    table = read_curve(folder, record)
    return [
        Value(name, float(text), int(row["samples"]))
        for row in (table.rows if table else ())
        for name, text in row.items()
        if name != "samples" and text
    ]


def diagnostics_values(folder: Path, record: Record) -> list[Value]:
    """Return every number in diagnostics.csv, such as `diagnostics.signal_cos.blocks.0`; else an empty list."""
    table = read_diagnostics(folder, record)
    return [
        Value(f"diagnostics.{name}.{row['block'].strip('()')}", float(text), int(row["samples"]))
        for row in (table.rows if table else ())
        for name, text in row.items()
        if name not in ("step", "samples", "block") and text
    ]


def metric_values(record: Record) -> list[Value]:
    """Return the numbers of a record at its last step, such as `result.test` and `profile.pipeline.4.bubble`."""
    step = record.time.samples if record.time else 0
    parts = {group: encode(getattr(record, group)) for group in _GROUPS}
    return [Value(name, value, step) for group, part in parts.items() for name, value in _numbers(group, part)]


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def parameter_values(job: Job) -> dict[str, str]:
    """Return a job's settings under dotted names, such as `optimizer.lr` and `rule.perturbations`."""
    flat: dict[str, str] = {}
    for key, value in job.to_dict().items():
        if isinstance(value, Mapping):
            prefix = "rule" if key == "rule_settings" else key
            flat.update({f"{prefix}.{inner}": _text(content) for inner, content in value.items()})
        else:
            flat[key] = _text(value)
    return flat


def tag_values(record: Record) -> dict[str, str]:
    """Return the tags by which runs can be searched."""
    tags = {
        "grape.level": "job",
        "grape.job_id": record.id,
        "grape.status": record.status.value,
        "grape.rule": record.rule,
        "grape.task": record.task,
        "grape.seed": str(record.seed),
        "grape.ended": record.ended,
        "git.commit": record.environment.git.commit,
        "hw.class": record.environment.hardware.kind,
    }
    trial = record.job.trial
    tags |= {"grape.trial": str(trial)} if trial is not None else {}
    return tags | ({"grape.reason": record.reason[:5000]} if record.reason else {})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

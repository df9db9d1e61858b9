"""Every job is one of the suite's, in the version that is named."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from grape_bench.plan.find import suite_files
from grape_bench.plan.suite import Suite
from grape_bench.publish.submission import Submission

OF_TASK = ("model", "model_args", "dataset", "dataset_args", "epochs", "batch_size", "schedule")


def problems(submission: Submission) -> Iterator[str]:
    """The suite against the one that comes with grape-bench, where it has one of that name; jobs against the suite."""
    try:
        suite = Suite.model_validate(submission.suite)
    except ValidationError as error:
        yield f"suite.toml: {' '.join(str(error).split())[:300]}"
        return
    yield from _known(suite)
    tasks = {task.name: task.model_dump() for task in suite.tasks}
    for name, record in submission.readable.items():
        if (record.get("suite"), record.get("suite_version")) != (suite.name, suite.version):
            yield f"{name}: of {record.get('suite')}@{record.get('suite_version')}, not {suite.name}@{suite.version}"
        task = tasks.get(str(record.get("task")))
        if task is None:
            yield f"{name}: no task of this suite"
            continue
        job: dict[str, Any] = record.get("job") or {}
        for key in OF_TASK:
            if job.get(key) != task[key]:
                yield f"{name}: {key} = {job.get(key)}, in the suite {task[key]}"


def _known(suite: Suite) -> Iterator[str]:
    path = suite_files().get(suite.name)
    if path is None:
        return
    ours = Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    if ours.version == suite.version and ours.tasks != suite.tasks:
        yield f"suite.toml: its tasks are not those of {suite.name}@{suite.version}"

"""`record.json`, one per job: what ran, how it ended, and every measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.content import parse_object
from grape_bench.record.damage import checked
from grape_bench.record.environment import Arithmetic, Environment
from grape_bench.record.job import Job
from grape_bench.record.limits import check_job, check_name
from grape_bench.record.migrate import migrated
from grape_bench.record.parts import Credit, Data, Diagnostics, Features, Memory, Metric, Network, Result, Time
from grape_bench.record.profile import Profile
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.status import Status
from grape_bench.record.typed_json import OPTIONAL, ShapeError, decode, encode, listed
from grape_bench.record.write import write_json

SCHEMA = 3  # raise this and add a step to `migrate` when a key moves or changes its meaning
RECORD, STDERR = "record.json", "stderr.txt"
HINT = "`grape-bench run` with the same suite, which sets it aside and reruns the job"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended and what it measured. A field is None if the job ended before it was measured."""

    status: Status
    reason: str = ""
    metric: Metric | None = None
    result: Result | None = None
    time: Time | None = None
    memory: Memory | None = None
    profile: Profile | None = None
    credit: Credit | None = None
    diagnostics: Diagnostics | None = None
    network: Network | None = None
    data: Data | None = None
    seeds: Mapping[str, int] | None = None
    features: Features | None = field(default=None, metadata=OPTIONAL)
    arithmetic: Arithmetic | None = field(default=None, metadata=OPTIONAL)  # on a GPU
    lost: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)  # part -> why it was not measured

    @classmethod
    def from_dict(cls, measured: Mapping[str, Any]) -> Outcome:
        """The outcome that a trainer returned. A result that is not finite counts as diverged. Raises ShapeError."""
        result = measured.get("result") or {}
        bad = [name for name, value in result.items() if value is not None and not math.isfinite(value)]
        if not bad:
            return decode(cls, listed(measured))
        reason = f"result.{bad[0]} is {result[bad[0]]}"
        return decode(cls, listed({**measured, "status": "diverged", "reason": reason, "result": None}))


_ALWAYS = [each.name for each in fields(Outcome) if not each.metadata.get("optional")]  # written even if None


@dataclass(frozen=True, kw_only=True)
class Record(Outcome):
    """A job, its outcome, and where and when it ran (UTC, ISO 8601)."""

    id: str
    name: str
    job: Job
    environment: Environment
    started: str
    ended: str

    @property
    def suite(self) -> str:
        """The name of the job's suite."""
        return self.job.suite

    @property
    def task(self) -> str:
        """The name of the job's task."""
        return self.job.task

    @property
    def rule(self) -> str:
        """The job's rule, as the user wrote it."""
        return self.job.rule

    @property
    def seed(self) -> int:
        """The job's seed."""
        return self.job.seed

    @property
    def on_cpu(self) -> bool:
        """Whether the job trained on a CPU, where the number of threads can change the last digits."""
        return self.environment.hardware.is_cpu

    @property
    def scored_by(self) -> Metric:
        """The metric of a record with a result."""
        assert self.metric is not None, self.name
        return self.metric

    @property
    def test(self) -> float:
        """The test value of a record with a result. A diverged run has the score of guessing.

        It may have scored above chance at its last evaluation, which must not count.
        """
        if self.status is Status.DIVERGED:
            return self.scored_by.chance
        assert self.result is not None and self.result.test is not None, self.name
        return self.result.test

    @property
    def validation(self) -> float:
        """The validation value of a record with a result. A diverged run has the score of guessing."""
        if self.status is Status.DIVERGED:
            return self.scored_by.chance
        assert self.result is not None, self.name
        return self.result.validation

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON types."""
        given = {each.name: getattr(self, each.name) for each in fields(Outcome)}
        outcome = {name: encode(part) for name, part in given.items() if name in _ALWAYS or part is not None}
        head = {"schema": SCHEMA, "id": self.id, "name": self.name, **_repeated(self.job)}
        foot = {"environment": encode(self.environment), "started": self.started, "ended": self.ended}
        return {**head, "job": self.job.to_dict(), **outcome, **foot}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Record:
        """The record that `to_dict` encoded in this or an older schema. Raises ShapeError."""
        schema = content.get("schema")
        if type(schema) is not int or not 1 <= schema <= SCHEMA:
            raise ShapeError(f"schema {schema} is unknown to this version, which reads 1 to {SCHEMA}")
        record = decode(cls, _without_head(_migrated(content)))
        for key, value in _repeated(record.job).items():
            if content.get(key, value) != value:
                raise ShapeError(f"{key} is {content[key]!r}, but the job has {value!r}")
        check_job(record.job)
        check_name("name", record.name)
        record.check()
        return record

    def check(self) -> None:
        """Raise ShapeError if a record with a result lacks its metric or a finite score."""
        if not self.status.is_result:
            return
        if self.metric is None:
            raise ShapeError("the record has a result, but its metric is missing")
        if self.status is Status.FINISHED:
            if self.result is None:
                raise ShapeError("the job finished, but its result is missing")
            values = {"validation": self.result.validation}
            if self.job.trial is None:
                values["test"] = math.nan if self.result.test is None else self.result.test
            for name, value in values.items():
                if not math.isfinite(value):
                    raise ShapeError(f"result.{name} is not a number")


def _repeated(job: Job) -> dict[str, Any]:
    """Fields of the job that the file repeats at the top, for people who read or query it."""
    return {"suite": job.suite, "suite_version": job.version, "task": job.task, "rule": job.rule, "seed": job.seed}


def _without_head(content: dict[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("job", "status", "reason", "environment") if key not in content]
    if missing:
        raise ShapeError(f"{missing[0]} is missing")
    absent = [name for name in _ALWAYS if name not in content]
    if absent:
        raise ShapeError(f"{absent[0]} is missing")
    return content


def _migrated(content: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return migrated(dict(content), SCHEMA)
    except (KeyError, TypeError) as error:
        raise ShapeError(f"a key is missing or has the wrong type ({error})") from error


def make_record(job: Job, outcome: Outcome, environment: Environment, started: str) -> Record:
    """The record of `job`, which ended just now."""
    parts = {each.name: getattr(outcome, each.name) for each in fields(Outcome)}
    return Record(id=job.id, name=job.name, job=job, environment=environment, started=started, ended=now(), **parts)


def write_record(folder: Path, record: Record) -> None:
    """Write `record` into its job's `folder` in one step. Raises OSError."""
    write_json(folder / RECORD, record.to_dict())


def read_record(path: Path) -> Record:
    """The record in the file `path`, migrated to the current schema.

    Raises DamagedError if the content is not a record, and UserError if the file cannot be read.
    """
    try:
        with checked(path, HINT):
            return parse_record(read_text(path, Largest.RECORD))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from error


def parse_record(text: str) -> Record:
    """The record in the JSON `text`. Raises ValueError."""
    return Record.from_dict(parse_object(text))


def now() -> str:
    """The current time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")

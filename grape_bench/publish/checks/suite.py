"""Every job has the settings that its suite and the tuned settings give it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from grape_bench.errors import UserError
from grape_bench.plan.find import shipped
from grape_bench.plan.job import NOTHING, make_job
from grape_bench.plan.open_settings import open_settings
from grape_bench.plan.suite import Settings, Suite, Task
from grape_bench.plan.tuned import find_tuned, mismatch
from grape_bench.plan.tuning import points, searched, space_of, stated_space
from grape_bench.publish.submission import Submission
from grape_bench.record.job import Job, Of
from grape_bench.rules.names import RULES
from grape_bench.score.references import REFERENCE_RULES

# A published job may choose these freely: its seed, extra measurements, and the number of processes. The check
# `numerics` compares the engine.
FREE = (Of.ENGINE, Of.SEED, Of.MEASURING, Of.LAUNCH)

DEFINING = ("tasks", "rule", "tuning", "margin")
"""The fields in which a suite must equal the shipped one of the same name and version."""


def suite_of(submission: Submission) -> Suite | None:
    """The suite that the jobs must belong to: the shipped one, unless it has another version. None if it is invalid."""
    try:
        suite = Suite.model_validate(submission.suite)
    except ValidationError:
        return None
    ours = _shipped(suite.name)
    return ours if ours and ours.version == suite.version else suite


def problems(submission: Submission) -> Iterator[str]:
    """Compare the published suite with the shipped one of the same name, and every job with the suite."""
    try:
        published = Suite.model_validate(submission.suite)
    except ValidationError as error:
        yield f"suite.toml: {' '.join(str(error).split())[:300]}"
        return
    suite = suite_of(submission) or published
    ours = _shipped(published.name)
    if ours is None or ours.version != published.version:
        yield from _of_an_author(published, ours)
    elif any(getattr(suite, key) != getattr(published, key) for key in DEFINING):
        yield f"suite.toml: the tasks or settings differ from {suite.name}@{suite.version}"
    expected = _Expected(suite)
    for name, record in submission.records.items():
        job = record.job
        if (job.suite, job.version) != (suite.name, suite.version):
            yield f"{name}: the job belongs to {job.suite}@{job.version}, not {suite.name}@{suite.version}"
        try:
            yield from (f"{name}: {problem}" for problem in expected.differences(job))
        except UserError as error:
            yield f"{name}: {error.what}"


def _of_an_author(suite: Suite, ours: Suite | None) -> Iterator[str]:
    """Check a suite that does not ship: nobody has reviewed it, so it may not treat the references differently."""
    if ours:
        yield f"suite.toml: this grape-bench has version {ours.version} of {suite.name}, not {suite.version}"
    tables = {"rule": suite.rule, **{f"task {task.name}: rule": task.rule for task in suite.tasks}}
    for where, table in tables.items():
        for rule in REFERENCE_RULES:
            if rule in table:
                yield f"suite.toml: {where}.{rule} has settings of its own, in a suite that does not ship"


class _Expected:
    """The jobs that a suite defines, with the suite's or with tuned settings."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._settings: dict[tuple[str, str, int], Sequence[Settings]] = {}

    def differences(self, job: Job) -> Iterator[str]:
        """The differences between `job` and the job of the suite that is nearest to it."""
        suite = self.suite
        task = next((task for task in suite.tasks if task.name == job.task), None)
        if task is None:
            yield "the suite has no such task"
            return
        trials = suite.tuning.trials if suite.tuning else 1
        if job.trials not in (1, trials):
            yield f"the settings come from {job.trials} trials, but the suite has {trials}"
            return
        key = (job.task, job.rule, job.trials)
        if key not in self._settings:
            self._settings[key] = _found(job, suite)
        allowed = [_expected(job, suite, task, found) for found in self._settings[key]]
        yield from min((_unequal(job, other) for other in allowed), key=len)


def _found(job: Job, suite: Suite) -> Sequence[Settings]:
    """The tuned settings that `job` may have: the recorded ones, or else any point of the search.

    Open settings come from their file. Raises UserError if they are not there.
    """
    if job.rule_name.is_open:
        opened = open_settings(suite, [shipped("baselines")])
        if (sent := opened.sent.get((job.task, str(job.rule_name.closed)))) is None:
            raise UserError(f"no open settings of {job.rule_name.closed} on {job.task} are known")
        return [sent.settings]
    if job.trials == 1 or not searched([job.rule]):
        return [NOTHING]
    recorded = find_tuned(suite, job.rule, [shipped("baselines")])
    if recorded and not mismatch(suite, job.rule, recorded):
        return [recorded[0].tasks[job.task].settings]
    return points(space_of(suite, job.rule), job.trials)


def _expected(job: Job, suite: Suite, task: Task, found: Settings) -> Job:
    # The user's files may not be on this machine. The check `source` compares their hashes.
    known = not job.rule_name.file and job.rule_name.base in RULES
    source = RULES.source_hash(job.rule_name.reference) if known else job.rule_source
    files = job.parts(Of.SOURCE, Of.DATA) | {"rule_source": source, "rule_contents": job.rule_contents}
    space = stated_space(suite, job.rule) if job.space is not None and searched([job.rule]) else None
    stated = {"space": space, "looks": job.looks, "open_by": job.open_by}
    return make_job(suite, task, job.rule, job.seed, found, trials=job.trials, **stated, **files)


def _unequal(job: Job, expected: Job) -> list[str]:
    compared = tuple(of for of in Of if of not in FREE)
    one, other = job.parts(*compared), expected.parts(*compared)
    return [f"{key} = {one[key]}, but the suite gives {other[key]}" for key in one if one[key] != other[key]]


def _shipped(name: str) -> Suite | None:
    path = shipped("suites") / f"{name}.toml"
    return Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig"))) if path.is_file() else None

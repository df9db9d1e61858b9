"""Every record is that of the job it names: its id is the hash of all its settings."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.plan.job import Job
from grape_bench.publish.submission import Submission
from grape_bench.streams import STREAMS, stream_seed


def problems(submission: Submission) -> Iterator[str]:
    """Ids, names, and what a record says twice."""
    for name, record in submission.readable.items():
        try:
            job = Job.from_dict(record["job"])
            identity = job.id
        except (TypeError, KeyError, AttributeError) as error:
            yield f"{name}: not a job: {error}"
            continue
        if record.get("id") != identity:
            yield f"{name}: the id is not that of its settings, which is {identity}"
        if not name == record.get("name") == job.name:
            yield f"{name}: the name of this job is {job.name}"
        said = {"suite": job.suite, "suite_version": job.version, "task": job.task, "rule": job.rule, "seed": job.seed}
        yield from (f"{name}: {key} is not that of its job" for key, value in said.items() if record.get(key) != value)
        streams = {stream: stream_seed(job.seed, stream) for stream in STREAMS}
        if record.get("seeds") is not None and record["seeds"] != {"seed": job.seed, **streams}:
            yield f"{name}: its random streams are not those of seed {job.seed}"

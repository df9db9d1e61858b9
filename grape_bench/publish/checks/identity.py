"""Every record belongs to its job: the id is the hash of the settings."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.data.names import NAMED
from grape_bench.publish.submission import Submission
from grape_bench.streams import STREAMS, stream_seed


def problems(submission: Submission) -> Iterator[str]:
    """Check ids, names and random streams."""
    for name, record in submission.records.items():
        job = record.job
        if record.id != job.id:
            yield f"{name}: the id does not match the settings, which give {job.id}"
        if not name == record.name == job.name:
            yield f"{name}: the name of this job is {job.name}"
        if job.data_content and job.dataset not in NAMED:
            yield f"{name}: data_content = {job.data_content!a}, but {job.dataset} is not read from a folder"
        streams = {stream: stream_seed(job.seed, stream) for stream in STREAMS}
        recorded = {"rule": streams["rule"], **(record.seeds or {})}  # the first records have no stream of the rule
        if record.status.is_result and recorded != {"seed": job.seed, **streams}:
            yield f"{name}: the random streams do not match seed {job.seed}"

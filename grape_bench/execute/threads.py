"""CPU threads per job: they can change the last digits of a result, so the jobs of a folder keep one number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.execute.executor import Executor
from grape_bench.execute.local import Local, fair_share
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, read_record

ENOUGH = 50  # records to read


def kept_threads(folder: Path) -> dict[int, int]:
    """The threads that most finished CPU jobs in the suite's `folder` had, by their number of processes."""
    counts: dict[int, Counter[int]] = {}
    for path in islice(folder.glob(f"*/{RECORD}"), ENOUGH):
        with suppress(UserError):
            record = read_record(path)
            if record.status.is_result and record.on_cpu:
                counts.setdefault(record.job.nproc, Counter())[record.environment.hardware.threads] += 1
    return {processes: count.most_common(1)[0][0] for processes, count in counts.items()}


def check_threads(asked: int | None, kept: Mapping[int, int]) -> None:
    """Raise UserError if `--threads` asks for another number than finished jobs had."""
    if asked and (others := {threads for threads in kept.values() if threads != asked}):
        raise UserError(
            f"finished jobs in this folder had {_count(others.pop())} each, and other threads give other last digits",
            where=f"--threads {asked}",
            hint="--fresh to run all jobs again, or another folder with --out DIR",
        )


def thread_note(executor: Executor, jobs: Sequence[Job], kept: Mapping[int, int]) -> str:
    """A line if the threads of `jobs` differ from those of finished jobs, or from their share; empty otherwise."""
    job = next((job for job in jobs if job.nproc in kept), None)
    if job is None:
        return ""
    threads, before = executor.threads(job), kept[job.nproc]
    if threads != before:
        return f"jobs get {_count(threads)} each, but finished jobs in this folder had {before}: results may differ"
    share = fair_share(executor.slots(), job.nproc)
    if isinstance(executor, Local) and share != threads:
        slots = _count(executor.slots(), "slot")
        return f"each job gets {_count(threads)}, as the finished jobs in this folder had ({slots} would give {share})"
    return ""


def _count(number: int, noun: str = "thread") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""Runs jobs as Slurm job arrays, submitted through submitit and watched with `squeue`.

The jobs survive when this process dies. The next run finds them by name and continues to watch them. `squeue` and
`scancel` need no accounting database.
"""

from __future__ import annotations

import io
import json
import math
import os
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.execute.command import time_limit_s, worker_command
from grape_bench.execute.executor import Executor, JobEvents, Options
from grape_bench.execute.job_folder import read_progress
from grape_bench.execute.outcome import write_outcome, written_record
from grape_bench.execute.preflight import check_apart
from grape_bench.execute.slurm_commands import LARGEST_ARRAY, VANISHED, State, array_size, cancel, check_slurm, states
from grape_bench.record.environment import SlurmJob
from grape_bench.record.job import Job
from grape_bench.record.record import RECORD, Outcome, Record, now
from grape_bench.record.write import write_json

FOLDER, TICKET = "slurm", "slurm.json"
_PATIENCE_S = 900.0  # how long Slurm may give no answer
_GRACE_S = 60.0  # how long cancelled jobs may take to end
_SHARED_FILES_S = 20.0  # how long a node's record may take to appear on this machine


@dataclass
class Ticket:
    """A job's Slurm id and log files, stored in the job's folder."""

    id: str
    stdout: str
    stderr: str
    since: str  # when it was submitted, or later first seen running
    running: bool = False


class Slurm(Executor):
    """The executor `slurm`."""

    def __init__(self, options: Options, jobs: Sequence[Job]) -> None:
        self.options = options
        self._most = options.cluster.slurm.array_parallelism  # jobs at once; None leaves it to Slurm
        self._count = len(jobs)
        self._processes = max(job.nproc for job in jobs)  # per job, at most
        self._name = ""
        self._tickets: dict[str, Ticket] = {}  # of unfinished jobs, by job id

    @override
    def __enter__(self) -> Self:
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            hint = "pip install 'grape-bench[slurm]'"
            raise UserError("submitit is not installed", where="--executor slurm", hint=hint) from error
        check_slurm()
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._tickets:
            self._end_all()

    @override
    def check(self, jobs: Sequence[Job]) -> None:
        if self.options.cluster.gpus % 1:
            what = f"gpus = {self.options.cluster.gpus:g}, but Slurm allocates whole GPUs"
            raise UserError(
                what, where="cluster", hint='slurm.options = { gres = "shard:1" }, if the cluster has shards'
            )
        check_apart(jobs, self.options.trainer)

    @override
    def slots(self) -> int:
        return self._most or self._count

    @override
    def threads(self, job: Job) -> int:
        return self.options.cluster.cpus

    @override
    def hold(self, descriptor: int) -> None:
        """Do nothing: Slurm's jobs outlive this machine's locks, and the next run finds them by name."""

    @override
    def run(self, jobs: Sequence[Job], folder: Path, events: JobEvents) -> None:
        # The name depends only on the folder, so that any later run, even with --fresh, finds the jobs.
        self._name = f"grape-bench-{sha256(str(folder.absolute()).encode()).hexdigest()[:12]}"
        waiting = {job.id: job for job in jobs}
        self._adopt(waiting, folder)
        self._submit([job for job in jobs if job.id not in self._tickets], folder)
        started = time.monotonic()
        while self._tickets:
            known = self._states()
            running = [waiting[key] for key, ticket in self._tickets.items() if ticket.running]
            for key, ticket in list(self._tickets.items()):
                state = known.get(ticket.id, VANISHED)
                if not ticket.running and (state.running or state.over):
                    ticket.running, ticket.since = True, now()
                    events.started(waiting[key])
                if state.over:
                    events.ended(self._record(waiting[key], ticket, state, folder))
                    del self._tickets[key]
            events.progressed(read_progress(running, folder))
            time.sleep(min(15.0, 0.5 + (time.monotonic() - started) / 60))  # ask less often in a long sweep

    def _adopt(self, jobs: dict[str, Job], folder: Path) -> None:
        """Adopt the jobs that an earlier run left in Slurm, and cancel those that this plan does not need."""
        alive = {key for key, state in states(self._name).items() if not state.over}
        for job in jobs.values():
            path = folder / job.name / TICKET
            if path.is_file():
                ticket = Ticket(**json.loads(path.read_text(encoding="utf-8")))
                if ticket.id in alive:
                    self._tickets[job.id] = ticket
        self._cancel(alive - {ticket.id for ticket in self._tickets.values()})

    def _submit(self, jobs: Sequence[Job], folder: Path) -> None:
        # 7,000 jobs in arrays of 1,000, with array_parallelism 3,000 -> 3 lanes: the fourth array starts after the
        # first, the fifth after the second, and so on.
        size = array_size()
        lanes = len(jobs) if self._most is None else max(1, self._most // size)  # arrays that run side by side
        arrays: list[str] = []
        for start in range(0, len(jobs), size):
            part = jobs[start : start + size]
            for job in part:
                (folder / job.name).mkdir(exist_ok=True)
                (folder / job.name / RECORD).unlink(missing_ok=True)
            handles = self._array(part, folder, arrays[-lanes] if lanes <= len(arrays) else None)
            for job, handle in zip(part, handles, strict=True):
                ticket = Ticket(handle.job_id, str(handle.paths.stdout), str(handle.paths.stderr), now())
                self._tickets[job.id] = ticket
                write_json(folder / job.name / TICKET, asdict(ticket))
            arrays.append(handles[0].job_id.partition("_")[0])

    def _array(self, jobs: Sequence[Job], folder: Path, previous: str | None) -> list[Any]:
        """Submit `jobs` as one array and return submitit's handles. Raises UserError if sbatch refuses."""
        import submitit

        executor = self._executor(folder, previous)
        try:
            with redirect_stderr(io.StringIO()), executor.batch():
                # execv makes the process the worker itself, so Slurm's state describes the worker.
                return [executor.submit(os.execv, *_program(self.options, job, folder)) for job in jobs]
        except submitit.core.utils.FailedJobError as error:
            lines = str(error).strip().splitlines() or ["sbatch gave no reason"]
            hint = "--cluster FILE, with a partition and account that you can use"
            raise UserError(lines[-1].removeprefix("sbatch: error: "), where="sbatch", hint=hint) from error

    def _executor(self, folder: Path, previous: str | None) -> Any:
        """Return submitit's executor. An array starts after the `previous` one, to keep to array_parallelism."""
        import submitit

        executor = submitit.SlurmExecutor(folder / FOLDER)
        executor.update_parameters(**self._parameters(previous))
        return executor

    def _parameters(self, previous: str | None) -> dict[str, Any]:
        cluster, slurm = self.options.cluster, self.options.cluster.slurm
        limit = time_limit_s(self.options)
        return {
            "job_name": self._name,
            "time": math.ceil(limit / 60) if limit else None,  # None: the partition's default
            "cpus_per_task": cluster.cpus * self._processes,
            "gpus_per_node": int(cluster.gpus) * self._processes or None,
            "mem": self._memory(),
            "partition": slurm.partition,
            "account": slurm.account,
            "qos": slurm.qos,
            "constraint": slurm.constraint,
            "setup": slurm.setup or None,
            "additional_parameters": slurm.options,
            "array_parallelism": self._most or LARGEST_ARRAY,
            "dependency": f"afterany:{previous}" if previous else None,
            "use_srun": False,
            "wckey": None,
        }

    def _memory(self) -> str | None:
        """Return the memory of a job with all its processes: from the command line, else from the cluster settings."""
        cluster = self.options.cluster
        if self.options.memory_limit is None and cluster.memory_gb is None:
            return None
        wanted = self.options.memory_limit or (cluster.memory_gb or 0) * 2**30 * self._processes
        return f"{math.ceil(wanted / 2**20)}MB"

    def _states(self) -> dict[str, State]:
        """Return the states of the jobs. Waits while the Slurm controller restarts."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return states(self._name)
            except RuntimeError as error:
                if time.monotonic() > give_up:
                    self._tickets.clear()  # otherwise __exit__ would cancel the jobs
                    hint = "the jobs keep running; run the same command again to find them"
                    raise UserError(str(error), where="Slurm", hint=hint) from error
                time.sleep(10)

    def _record(self, job: Job, ticket: Ticket, state: State, folder: Path) -> Record:
        """Return the record that the worker wrote. If the worker could not, write and return one here."""
        give_up = time.monotonic() + (_SHARED_FILES_S if state.word == "COMPLETED" else 0)
        while True:
            list((folder / job.name).iterdir())  # makes a network file system refresh its cache
            record = written_record(job, folder)
            if record or time.monotonic() > give_up:
                break
            time.sleep(0.5)
        slurm = SlurmJob(job=ticket.id, state=state.word, stdout=ticket.stdout, stderr=ticket.stderr)
        outcome = Outcome(status=state.status, reason=f"Slurm: {state}")
        return record or write_outcome(job, folder, outcome, started=ticket.since, slurm=slurm)

    def _end_all(self) -> None:
        """Cancel the running and the queued jobs after an interruption."""
        self._cancel({ticket.id for ticket in self._tickets.values()})
        self._tickets.clear()

    def _cancel(self, jobs: set[str]) -> None:
        """Cancel these jobs, and wait until they are gone."""
        cancel(jobs)
        give_up = time.monotonic() + _GRACE_S
        while jobs and time.monotonic() < give_up:
            known = states(self._name)
            jobs = {job for job in jobs if not known.get(job, VANISHED).over}
            time.sleep(0.5)


def _program(options: Options, job: Job, folder: Path) -> tuple[str, list[str]]:
    command = worker_command(job, folder, options)
    return command[0], command

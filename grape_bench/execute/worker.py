"""Runs one job of a manifest in this process: `python -m grape_bench.execute.worker MANIFEST JOB_ID`.

Every executor runs this, with a manifest of this one job in the job's folder. The job itself trains in a
[child](child.py), which resumes from the last checkpoint if there is one, and saves checkpoints regularly. After each
epoch this process writes curve.csv and progress.json. At the end it writes record.json, however the job ended.
Exit code: 0 if the job finished or diverged, else 1.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Self

import grape_bench
from grape_bench.errors import UserError, described, printable, shortened
from grape_bench.execute import job_folder
from grape_bench.execute.capped_log import CappedLog
from grape_bench.execute.child import Child, Send
from grape_bench.execute.executor import CHECKPOINT_EVERY, TRAINER
from grape_bench.execute.outcome import crashed, kernel_oom_kills
from grape_bench.execute.plausible import check_outcome, check_row
from grape_bench.execute.process_tree import die_with_parent
from grape_bench.execute.start import print_trace
from grape_bench.plan.sources import changed_sources
from grape_bench.record.environment import Environment, core_count, environment
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest, read_manifest
from grape_bench.record.record import RECORD, STDERR, Outcome, make_record, now
from grape_bench.record.status import Status
from grape_bench.record.table import DIAGNOSTICS, write_table
from grape_bench.record.typed_json import ShapeError, decode, encode
from grape_bench.train.checkpoint_files import CheckpointFolder, Period

# How torch's CPU allocator, a CUDA context that does not fit, cuBLAS and cuDNN report that memory ran out. On a GPU
# shared by several jobs, the last three come first.
_NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
)
LAUNCH = "torchrun.txt"


@dataclass(frozen=True)
class _Task:
    """A job, its folder, and the command line that says how to run it."""

    job: Job
    folder: Path
    manifest: Manifest
    given: argparse.Namespace
    arguments: list[str]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Self:
        """The task that a command line names. Raises UserError."""
        given = _parser().parse_args(arguments)
        manifest = read_manifest(given.manifest)
        job = manifest.job(given.job_id)
        folder = given.manifest.absolute().parent
        if folder.name != job.name:  # equal if the scheduler wrote a manifest for this job alone
            folder /= job.name
        return cls(job, folder, manifest, given, list(arguments))

    @property
    def writes_rows(self) -> bool:
        """Whether this process writes the curve. Only rank 0 does."""
        return not self.given.of_several or _is_first()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grape_bench.execute.worker", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("job_id")
    parser.add_argument("--threads", type=int, default=core_count(), help="CPU threads of this job")
    parser.add_argument("--checkpoint-every", default=str(CHECKPOINT_EVERY), help="such as 60s, 2epochs, never")
    parser.add_argument("--trainer", default=TRAINER, help="module that runs the job")
    parser.add_argument("--end-with-parent", action="store_true", help="die when the parent process dies")
    parser.add_argument("--of-several", action="store_true", help="this is one of several processes of the job")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the command line names. Its output goes to stderr.txt in the job's folder."""
    task = _Task.parse(sys.argv[1:] if arguments is None else arguments)
    if task.given.end_with_parent:
        die_with_parent()
    if not task.given.of_several:
        job_folder.prepare(task.folder)
    if task.job.nproc > 1 and not task.given.of_several:
        (task.folder / STDERR).write_bytes(b"")
        _redirect(task.folder / LAUNCH)  # keep torchrun's output apart from the job's
        _launch(task)
    return _keep(task)


def _keep(task: _Task) -> int:
    """Run the job in a child, and write what it measures. Returns the exit code."""
    job, folder, given = task.job, task.folder, task.given
    started = now()
    log = CappedLog(folder / STDERR, 0 if given.of_several else os.O_TRUNC)
    # By its full name, because this module may be running as __main__.
    work = "grape_bench.execute.worker:work"
    with closing(log), closing(Child(work, task.arguments, log.write, folder)) as child:
        outcome, rows, where = _followed(child, task)
    done = outcome.status.is_result
    if given.of_several and not _to_write(done, folder):
        return 0 if done else 1
    job_folder.repair(folder)
    if rows:
        write_table(folder / DIAGNOSTICS, rows)
    where = where or environment(given.threads, task.manifest.git)
    job_folder.finish(folder, make_record(job, outcome, where, started))
    if not done:
        return 1
    job_folder.tidy(folder)
    return 0


def _followed(child: Child, task: _Task) -> tuple[Outcome, list[dict[str, Any]], Environment | None]:
    """Follow the child to its end: the job's outcome, the rows of diagnostics.csv, and where it ran."""
    files = job_folder.JobFolder(task.folder, task.job)
    oom_kills, where = kernel_oom_kills(), None
    try:
        for kind, value in child.messages():
            if kind == "environment":
                where = decode(Environment, value)
            elif kind == "row" and task.writes_rows:
                check_row(value)
                files.add(value)
            elif kind == "end":
                if task.writes_rows:
                    files.check()
                return (*_measured(value), where)
    except Exception as error:  # a full disk, or an invalid message from the job
        child.kill()
        reason = described(error) if not isinstance(error, ShapeError) else printable(shortened(str(error)))
        return Outcome(status=Status.CRASHED, reason=reason), [], where
    finally:
        code = child.code()
    return crashed(code, oom_kills), [], where


def _measured(content: dict[str, Any]) -> tuple[Outcome, list[dict[str, Any]]]:
    """The outcome that the job sent, and the rows of diagnostics.csv. Raises ShapeError."""
    diagnostics = dict(content.get("diagnostics") or {})
    rows = diagnostics.pop("rows", [])
    if not all(isinstance(row, dict) for row in rows):
        raise ShapeError("diagnostics.rows are not rows of a table")
    outcome = Outcome.from_dict({**content, "diagnostics": diagnostics or None})
    check_outcome(outcome)
    return outcome, rows


def _launch(task: _Task) -> NoReturn:
    """Replace this process by `torchrun`, which starts the job's workers on this machine.

    The workers die with it.
    """
    here = "127.0.0.1"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--local-addr={here}"]
    worker = ["-m", "grape_bench.execute.worker", *task.arguments, "--of-several", "--end-with-parent"]
    package = str(Path(grape_bench.__file__).parent.parent)
    environment = {
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
        **os.environ,
        "OMP_NUM_THREADS": str(task.given.threads),
        "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONSAFEPATH": "1",  # a user's `data/` in the current folder must not shadow a library's module
    }
    os.execve(sys.executable, [*torchrun, f"--nproc-per-node={task.job.nproc}", *worker], environment)


def _is_first() -> bool:
    """Return whether this process has rank 0 among the job's several processes."""
    return os.environ["RANK"] == "0"


def _to_write(done: bool, folder: Path) -> bool:
    """Return whether this process, one of several of the job, writes the record.

    If the job is done, rank 0 writes it. If the job fails, the first process to fail writes it, because its error is
    the cause. The other processes fail only because they lost that process.
    """
    return _is_first() if done else not (folder / RECORD).exists()


def _redirect(path: Path) -> None:
    """Redirect all output of this process to `path`."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def work(arguments: list[str], send: Send) -> None:
    """In the child: run the job, and send what it measured, or how it failed. A traceback goes to the output."""
    try:
        end = _train(_Task.parse(arguments), send)
        send("end", end)
    except SystemExit:
        raise
    except BaseException as error:
        print_trace()
        send("end", failure(error))


def failure(error: BaseException) -> dict[str, str]:
    """Return the status and the reason of a job that raised `error`."""
    status = Status.OOM if _out_of_memory(error) else Status.CRASHED
    return {"status": status.value, "reason": described(error)}


def _train(task: _Task, send: Send) -> dict[str, Any]:
    job, given = task.job, task.given
    if changed := changed_sources(job):
        what = f"the files behind {', '.join(changed)} have changed since the job was planned"
        raise UserError(what, where=f"task {job.task!r}, rule {job.rule!r}", hint="run the same command again")
    _set_threads(given.threads)
    trainer = import_module(given.trainer)
    from grape_bench.train.checkpoint import Checkpoints

    gc.freeze()  # scanning the libraries' objects again and again costs more than an epoch of a small network
    # The stamp holds whatever can change the last digits of a result: on another machine or release, or with other
    # threads on a CPU, the job restarts from scratch.
    where = encode(environment(given.threads, task.manifest.git))
    send("environment", where)
    if where["hardware"]["gpu"]:
        where["hardware"]["threads"] = None
    kept = CheckpointFolder(task.folder, json.dumps({"job": job.id, **where}, sort_keys=True))
    checkpoints = Checkpoints(kept, Period.parse(given.checkpoint_every))
    measured: dict[str, Any] = trainer.run(job, lambda row: send("row", row), checkpoints)
    return measured


def _set_threads(threads: int) -> None:
    """Limit the threads of this job. Without this, the libraries in each slot start one thread per core."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")  # if torch is not imported yet, it will read the variable
    if torch is not None:
        torch.set_num_threads(threads)


def _out_of_memory(error: BaseException) -> bool:
    """Return whether `error` means that memory ran out, on the CPU or a GPU."""
    names = {cls.__name__ for cls in type(error).__mro__}  # by name, because torch may not be imported
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(text in described(error) for text in _NO_MEMORY)


if __name__ == "__main__":
    sys.exit(main())

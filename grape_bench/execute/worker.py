"""Runs one job of a manifest in this process: `python -m grape_bench.execute.worker MANIFEST JOB_ID`.

Every executor runs this. It resumes from the last checkpoint of the job, if there is one. After each epoch it writes
curve.csv and progress.json, and now and then a checkpoint. At the end it writes record.json, however the job ended.
Exit code: 0 if the job finished or diverged, else 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import grape_bench
from grape_bench.errors import UserError, described, printable
from grape_bench.execute.executor import CHECKPOINT_EVERY, TRAINER
from grape_bench.execute.process_tree import die_with_parent
from grape_bench.plan.sources import changed_sources
from grape_bench.record.content import parse_object
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest, read_manifest
from grape_bench.record.record import RECORD, STDERR, Outcome, make_record, now, write_record
from grape_bench.record.status import Status
from grape_bench.record.table import CURVE, DIAGNOSTICS, append_row, write_table
from grape_bench.record.typed_json import encode
from grape_bench.record.write import write_json
from grape_bench.track.environment import core_count, environment
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
PROGRESS, LAUNCH = "progress.json", "torchrun.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the command line names. Its output goes to stderr.txt in the job's folder."""
    parser = argparse.ArgumentParser(prog="python -m grape_bench.execute.worker", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("job_id")
    parser.add_argument("--threads", type=int, default=core_count(), help="CPU threads of this job")
    parser.add_argument("--checkpoint-every", default=str(CHECKPOINT_EVERY), help="such as 60s, 2epochs, never")
    parser.add_argument("--trainer", default=TRAINER, help="module that runs the job")
    parser.add_argument("--end-with-parent", action="store_true", help="die when the parent process dies")
    parser.add_argument("--of-several", action="store_true", help="this is one of several processes of the job")
    given = parser.parse_args(arguments)
    if given.end_with_parent:
        die_with_parent()
    manifest = read_manifest(given.manifest)
    job = manifest.job(given.job_id)
    folder = given.manifest.absolute().parent / job.name  # a rule may change the working folder
    if given.of_several:
        _redirect(folder / STDERR, os.O_APPEND)
    else:
        _prepare(folder)
        _redirect(folder / STDERR, os.O_TRUNC)
    if job.nproc > 1 and not given.of_several:
        _redirect(folder / LAUNCH, os.O_TRUNC)  # keep torchrun's output apart from the job's
        _launch(job.nproc, given.threads, sys.argv[1:] if arguments is None else arguments)
    started = now()
    outcome, rows = _outcome(lambda: _train(job, folder, manifest, given))
    done = outcome.status.is_result
    if given.of_several and not _to_write(done, folder):
        return 0 if done else 1
    if rows:
        write_table(folder / DIAGNOSTICS, rows)
    write_record(folder, make_record(job, outcome, environment(given.threads, manifest.git), started))
    (folder / PROGRESS).unlink(missing_ok=True)
    if not done:
        return 1
    tidy(folder)
    return 0


def tidy(folder: Path) -> None:
    """Delete the checkpoints and progress of a job that is done, and unfinished files of killed processes."""
    CheckpointFolder(folder).clear()
    for pattern in (PROGRESS, f".*.{PROGRESS}", f".*.{RECORD}"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _launch(processes: int, threads: int, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by `torchrun`, which starts `processes` workers on this machine.

    The workers die with it.
    """
    here = "127.0.0.1"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--local-addr={here}"]
    worker = ["-m", "grape_bench.execute.worker", *arguments, "--of-several", "--end-with-parent"]
    package = str(Path(grape_bench.__file__).parent.parent)
    environment = {
        "GLOO_SOCKET_IFNAME": "lo",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONSAFEPATH": "1",  # a user's `data/` in the current folder must not shadow a library's module
    }
    os.execve(sys.executable, [*torchrun, f"--nproc-per-node={processes}", *worker], environment)


def _is_first() -> bool:
    """Return whether this process has rank 0 among the job's several processes."""
    return os.environ["RANK"] == "0"


def _to_write(done: bool, folder: Path) -> bool:
    """Return whether this process, one of several of the job, writes the record.

    If the job is done, rank 0 writes it. If the job fails, the first process to fail writes it, because its error is
    the cause. The other processes fail only because they lost that process.
    """
    return _is_first() if done else not (folder / RECORD).exists()


def _prepare(folder: Path) -> None:
    """Create the job's folder, or delete the results of an earlier attempt from it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RECORD, CURVE, DIAGNOSTICS, PROGRESS):
        (folder / name).unlink(missing_ok=True)


def _redirect(path: Path, how: int) -> None:
    """Redirect all output of this process to `path`, including what C libraries print."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(2)  # print a trace after a segmentation fault


def _train(job: Job, folder: Path, manifest: Manifest, given: argparse.Namespace) -> dict[str, Any]:
    if changed := changed_sources(job):
        what = f"the files behind {', '.join(changed)} have changed since the job was planned"
        raise UserError(what, where=f"task {job.task!r}, rule {job.rule!r}", hint="run the same command again")
    _set_threads(given.threads)
    trainer = import_module(given.trainer)
    from grape_bench.train.checkpoint import Checkpoints

    gc.freeze()  # scanning the libraries' objects again and again costs more than an epoch of a small network
    # The stamp holds whatever can change the last digits of a result: on another machine or release, or with other
    # threads on a CPU, the job restarts from scratch.
    where = encode(environment(given.threads, manifest.git))
    if where["hardware"]["gpu"]:
        where["hardware"]["threads"] = None
    kept = CheckpointFolder(folder, json.dumps({"job": job.id, **where}, sort_keys=True))
    checkpoints = Checkpoints(kept, Period.parse(given.checkpoint_every))
    on_epoch = _epoch_writer(job, folder) if not given.of_several or _is_first() else _ignore
    measured: dict[str, Any] = trainer.run(job, on_epoch, checkpoints)
    return measured


def _set_threads(threads: int) -> None:
    """Limit the threads of this job. Without this, the libraries in each slot start one thread per core."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")  # if torch is not imported yet, it will read the variable
    if torch is not None:
        torch.set_num_threads(threads)


def _epoch_writer(job: Job, folder: Path) -> Callable[[dict[str, Any]], None]:
    """Return the function that the trainer calls with each row of curve.csv."""

    process = os.getpid()

    def write(row: dict[str, Any]) -> None:
        if os.getpid() != process:
            os._exit(1)  # a rule has forked and returned in the child, which would train to the end too
        append_row(folder / CURVE, row)
        # Not synced to disk, unlike a record: this file is read only while the job runs.
        budget = {"steps": job.steps} if job.steps else {"epochs": job.epochs}
        write_json(folder / PROGRESS, {**row, **budget}, durable=False)

    return write


def _ignore(row: dict[str, Any]) -> None:
    """Do nothing: the process of rank 0 writes the row."""


def read_progress(jobs: Iterable[Job], folder: Path) -> dict[str, dict[str, Any]]:
    """Return the latest row of each job, by job id. Jobs in their first epoch have none."""
    found = {}
    for job in jobs:
        try:
            text = (folder / job.name / PROGRESS).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        with suppress(ValueError):  # the job may have written anything there
            found[job.id] = parse_object(text)
    return found


def _outcome(train: Callable[[], dict[str, Any]]) -> tuple[Outcome, list[dict[str, Any]]]:
    """Return the outcome of `train` and the rows of diagnostics.csv. A traceback goes to stderr.txt."""
    try:
        measured = train()
        diagnostics = dict(measured.get("diagnostics") or {})
        rows = diagnostics.pop("rows", [])
        return Outcome.from_dict({**measured, "diagnostics": diagnostics or None}), rows
    except UserError as error:
        print(error, file=sys.stderr)
        return Outcome(status=Status.CRASHED, reason=printable(str(error))), []
    except Exception as error:
        traceback.print_exc()
        status = Status.OOM if _out_of_memory(error) else Status.CRASHED
        return Outcome(status=status, reason=described(error)), []


def _out_of_memory(error: Exception) -> bool:
    """Return whether `error` means that memory ran out, on the CPU or a GPU."""
    names = {cls.__name__ for cls in type(error).__mro__}  # by name, because torch may not be imported
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(text in str(error) for text in _NO_MEMORY)


if __name__ == "__main__":
    sys.exit(main())

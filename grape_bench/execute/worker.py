"""Run one job of a manifest in this process: `python -m grape_bench.execute.worker MANIFEST JOB_ID`.

Every executor runs this. It goes on from the last checkpoint that an earlier process of the job has left, writes
curve.csv, progress.json and checkpoints as the epochs pass and record.json at the end, whatever the end is, as long as
the process lives. Exit code 0 when the job finished or diverged, else 1.
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
from grape_bench.errors import UserError
from grape_bench.execute.executor import CHECKPOINT_EVERY, TRAINER
from grape_bench.execute.process_tree import die_with_parent
from grape_bench.record.damage import parse_object
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest, read_manifest
from grape_bench.record.record import RECORD, STDERR, Outcome, make_record, now, write_record
from grape_bench.record.status import Status
from grape_bench.record.table import CURVE, DIAGNOSTICS, append_row, write_table
from grape_bench.record.typed_json import encode
from grape_bench.record.write import write_json
from grape_bench.track.environment import core_count, environment
from grape_bench.train.checkpoint_files import CheckpointFolder, Period

# What torch's CPU allocator, a CUDA context that does not fit, cuBLAS and cuDNN say when memory runs out. A GPU that
# several jobs share gives the last three first.
_NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
)
PROGRESS, LAUNCH = "progress.json", "torchrun.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the command line names; its output goes to stderr.txt in its folder."""
    parser = argparse.ArgumentParser(prog="python -m grape_bench.execute.worker", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("job_id")
    parser.add_argument("--threads", type=int, default=core_count(), help="CPU threads of this job")
    parser.add_argument("--checkpoint-every", default=str(CHECKPOINT_EVERY), help="such as 60s, 2epochs, never")
    parser.add_argument("--trainer", default=TRAINER, help="module that runs a job")
    parser.add_argument("--end-with-parent", action="store_true", help="never outlive the process that started this")
    parser.add_argument("--of-several", action="store_true", help="this is one of the job's processes")
    given = parser.parse_args(arguments)
    if given.end_with_parent:
        die_with_parent()
    manifest = read_manifest(given.manifest)
    job = manifest.job(given.job_id)
    folder = given.manifest.parent / job.name
    if given.of_several:
        _redirect(folder / STDERR, os.O_APPEND)
    else:
        _prepare(folder)
        _redirect(folder / STDERR, os.O_TRUNC)
    if job.nproc > 1 and not given.of_several:
        _redirect(folder / LAUNCH, os.O_TRUNC)  # its own words would stand in the way of the job's
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
    """Remove from a job's folder what only a job that is not done needs, and drafts of processes that were killed."""
    CheckpointFolder(folder).clear()
    for pattern in (PROGRESS, f".*.{PROGRESS}", f".*.{RECORD}"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _launch(processes: int, threads: int, arguments: Sequence[str]) -> NoReturn:
    """Become `torchrun`, which starts the worker with `arguments` so many times on this machine.

    None of them outlives it.
    """
    here = "127.0.0.1"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--local-addr={here}"]
    worker = ["-m", "grape_bench.execute.worker", *arguments, "--of-several", "--end-with-parent"]
    place = str(Path(grape_bench.__file__).parent.parent)
    environment = {
        "GLOO_SOCKET_IFNAME": "lo",
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([place, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONSAFEPATH": "1",  # a user's `data/` in the current folder must not stand in the place of a library's
    }
    os.execve(sys.executable, [*torchrun, f"--nproc-per-node={processes}", *worker], environment)


def _is_first() -> bool:
    """Whether this is the first of the job's several processes, as `torchrun` has numbered them."""
    return os.environ["RANK"] == "0"


def _to_write(done: bool, folder: Path) -> bool:
    """Whether the record is this process's to write, of several.

    It is the first one's; of those that fail, the one's with the cause, not theirs that have lost it.
    """
    return _is_first() if done else not (folder / RECORD).exists()


def _prepare(folder: Path) -> None:
    """An empty folder: nothing of an earlier attempt may be taken for this one's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RECORD, CURVE, DIAGNOSTICS, PROGRESS):
        (folder / name).unlink(missing_ok=True)


def _redirect(path: Path, how: int) -> None:
    """Send everything that this process and its libraries print, from C too, to `path`."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(2)  # where a segmentation fault happened


def _train(job: Job, folder: Path, manifest: Manifest, given: argparse.Namespace) -> dict[str, Any]:
    _set_threads(given.threads)
    trainer = import_module(given.trainer)
    from grape_bench.train.checkpoint import Checkpoints

    gc.freeze()  # the libraries stay: to go through all of theirs again and again costs more than a small net's epoch
    # What may change a result in the last digits; on another machine or release a job begins anew. Of the threads
    # there may be others, when the sweep goes on with other slots.
    where = encode(environment(given.threads, manifest.git))
    where["hardware"]["threads"] = None
    place = CheckpointFolder(folder, json.dumps({"job": job.id, **where}, sort_keys=True))
    checkpoints = Checkpoints(place, Period.parse(given.checkpoint_every))
    on_epoch = _epoch_writer(job, folder) if not given.of_several or _is_first() else _ignore
    measured: dict[str, Any] = trainer.run(job, on_epoch, checkpoints)
    return measured


def _set_threads(threads: int) -> None:
    """Share the cores: each slot's libraries would else start a thread on every one of them."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")  # not imported yet: then it reads the variable
    if torch is not None:
        torch.set_num_threads(threads)


def _epoch_writer(job: Job, folder: Path) -> Callable[[dict[str, Any]], None]:
    """What is called with each row of curve.csv."""

    def write(row: dict[str, Any]) -> None:
        append_row(folder / CURVE, row)
        # Not durable, unlike a record: this is read only while the job runs.
        write_json(folder / PROGRESS, {**row, "epochs": job.epochs}, durable=False)

    return write


def _ignore(row: dict[str, Any]) -> None:
    """The first process writes it down."""


def read_progress(jobs: Iterable[Job], folder: Path) -> dict[str, dict[str, Any]]:
    """The last epoch of each job, by job id; none of those that are still in their first."""
    found = {}
    for job in jobs:
        try:
            text = (folder / job.name / PROGRESS).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        with suppress(ValueError):  # a job may have written anything there
            found[job.id] = parse_object(text)
    return found


def _outcome(train: Callable[[], dict[str, Any]]) -> tuple[Outcome, list[dict[str, Any]]]:
    """What `train` measured with the rows of diagnostics.csv, or how it failed; the traceback goes to stderr.txt."""
    try:
        measured = train()
        diagnostics = dict(measured.get("diagnostics") or {})
        rows = diagnostics.pop("rows", [])
        return Outcome.from_dict({**measured, "diagnostics": diagnostics or None}), rows
    except UserError as error:
        print(error, file=sys.stderr)
        return Outcome(status=Status.CRASHED, reason=str(error)), []
    except Exception as error:
        traceback.print_exc()
        status = Status.OOM if _out_of_memory(error) else Status.CRASHED
        return Outcome(status=status, reason=f"{type(error).__name__}: {error}".strip()), []


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: Python's, torch's on the CPU, or a GPU's in one of the ways that CUDA reports it."""
    names = {cls.__name__ for cls in type(error).__mro__}  # by name: torch may not be loaded
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or any(text in str(error) for text in _NO_MEMORY)


if __name__ == "__main__":
    sys.exit(main())

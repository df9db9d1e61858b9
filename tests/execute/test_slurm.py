"""Sweeps on a real Slurm of one node."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute import slurm as slurm_room
from grape_bench.execute.sweep import Request, run_sweep
from grape_bench.plan.suite import Cluster
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from tests.execute.slurm_cluster import ABSENT, slurm
from tests.execute.sweeps import Watch, request
from tests.execute.test_sweep import gone

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("slurm"),  # one cluster at a time
    pytest.mark.skipif(bool(ABSENT), reason=f"no {', '.join(ABSENT)}: apt-get install slurm-wlm munge"),
    pytest.mark.skipif(os.getuid() != 0, reason="slurmd has to be root"),
]


@pytest.fixture(scope="module", autouse=True)
def _slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm(tmp_path_factory.mktemp("slurm")), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        yield


def on_slurm(folder: Path, acts: list[dict[str, object]], **cluster: object) -> Request:
    asked = request(folder, acts)
    options = dataclasses.replace(asked.options, cluster=Cluster.model_validate(cluster))
    return dataclasses.replace(asked, executor="slurm", options=options)


class Cancelling(Watch):
    """Cancels the job that hangs, as an administrator might."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.names: list[str] = []

    def started(self, job: Job) -> None:
        self.names.append(job.name)
        if job.model_args.get("cancel"):
            ticket = json.loads((self.folder / job.name / "slurm.json").read_text())
            slurm_room.cancel([ticket["id"]])


@dataclasses.dataclass
class Ends:
    """A sweep that runs in parallel with the tests. Its time limit is Slurm's shortest, a minute."""

    asked: Request
    watch: Cancelling
    late: Path  # file with the process ids of the job that exceeds its limit
    records: Future[list[Record]]


@pytest.fixture(scope="module", autouse=True)
def ends(_slurm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    folder = tmp_path_factory.mktemp("ends")
    late = {"act": "hang", "pids": str(folder / "late")}
    cancelled = {"act": "hang", "pids": str(folder / "cancelled"), "cancel": True}
    acts = [late, cancelled, {"act": "kill-parent"}, {"act": "segfault"}, {"act": "oom"}, {"act": "finish"}]
    asked = on_slurm(folder, acts, minutes=1, slurm={"partition": "small", "array_parallelism": 3})
    watch = Cancelling(asked.folder)
    with ThreadPoolExecutor() as pool:
        yield Ends(asked, watch, folder / "late", pool.submit(run_sweep, asked, watch, None))


def test_an_sbatch_error_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sbatch: .*Invalid partition"):
        run_sweep(on_slurm(tmp_path, [{"act": "finish"}], slurm={"partition": "large"}), Watch(), None)


SWEEP = """\
import os, signal, sys
from pathlib import Path
from tests.execute.sweeps import Watch
from tests.execute.test_slurm import on_slurm
from grape_bench.execute.sweep import run_sweep
folder = Path(sys.argv[1])
acts = [{"act": "count", "count": str(folder / "count"), "n": 1}, {"act": "hang", "pids": str(folder / "pids")}]
acts.append({"act": "wait", "until": str(folder / "go"), "count": str(folder / "count")})

class Telling(Watch):
    def progressed(self, progress):
        (folder / f"watched by {os.getpid()}").touch()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell's children ignore it
run_sweep(on_slurm(folder, acts), Telling(), None)
"""


def scheduler(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that runs the sweep, and wait until it watches the job that hangs."""
    process = subprocess.Popen([sys.executable, "-c", SWEEP, str(folder)])
    pids = folder / "pids"
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    wait_until((folder / f"watched by {process.pid}").exists)
    return process


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("nothing happened for a minute")


def test_jobs_outlive_a_killed_scheduler_and_are_not_run_twice_and_an_interrupt_cancels_them(tmp_path: Path) -> None:
    first = scheduler(tmp_path)
    first.kill()
    first.wait()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert not any(gone(pid) for pid in pids), "the jobs belong to Slurm"

    second = scheduler(tmp_path)
    (tmp_path / "go").touch()
    runs = tmp_path / "runs" / "acts"
    wait_until(lambda: len(list(runs.glob("*/record.json"))) == 2)
    second.send_signal(signal.SIGINT)
    assert second.wait(60) != 0
    assert sorted((tmp_path / "count").read_text().split()) == sorted(
        path.parent.name for path in runs.glob("*/record.json")
    )
    assert all(gone(pid) for pid in pids)
    assert (tmp_path / "pids").read_text().split() == [str(pid) for pid in pids], "the second run adopted it"
    assert {record.status for record in read_records(runs)} == {"finished"}


def test_every_way_to_end_gives_a_typed_record_and_affects_only_that_job(ends: Ends) -> None:
    names = ["late", "cancelled", "vanish", "segfault", "oom", "finish"]
    records = ends.records.result()
    found = dict(zip(names, records, strict=True))
    assert {name: (record.status, record.reason) for name, record in found.items()} == {
        "late": ("timeout", "Slurm: TIMEOUT"),
        "cancelled": ("crashed", "Slurm: CANCELLED"),
        "vanish": ("crashed", "Slurm: FAILED, exit code 137 (128 + SIGKILL)"),
        "segfault": ("crashed", "killed by SIGSEGV"),
        "oom": ("oom", "MemoryError: no room"),
        "finish": ("finished", ""),
    }
    assert sorted(ends.watch.names) == sorted(job.name for job in ends.asked.plan.jobs)
    assert read_records(ends.asked.folder) == records
    about = found["vanish"].environment.slurm
    assert about.state == "FAILED" and "_" in about.job
    assert all(Path(path).is_file() for path in (about.stdout, about.stderr))
    assert all(gone(int(pid)) for pid in ends.late.read_text().split())

    again = [job for job in ends.asked.plan.jobs if job.model_args["act"] in ("kill-parent", "finish")]
    watch = Watch()
    run_sweep(dataclasses.replace(ends.asked, plan=dataclasses.replace(ends.asked.plan, jobs=again)), watch, None)
    assert [job.model_args["act"] for job in watch.pending] == ["kill-parent"], "the same command runs what failed"

"""A large sweep costs a job no more than a small one: what is read and computed is counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from grape_bench.execute.job_folder import write_job_manifest
from grape_bench.execute.sweep import run_sweep
from grape_bench.execute.worker import main as run_worker
from grape_bench.plan import expand, job
from grape_bench.record import manifest
from grape_bench.record.environment import INSTALLED
from grape_bench.record.folder import read_folder
from grape_bench.record.manifest import MANIFEST, Manifest, read_manifest
from tests.execute.sweeps import TRAINER, Watch, request


class StopError(Exception):
    """Ends a worker before it starts its job."""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was parsed as a manifest in this process, by the name of its folder."""
    counts: Counter[str] = Counter()
    original = manifest._read

    def counted(path: Path) -> manifest._Content:
        counts[path.parent.name] += 1
        return original(path)

    monkeypatch.setattr(manifest, "_read", counted)
    return counts


def test_a_worker_reads_its_own_job_and_no_other(
    tmp_path: Path, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grape_bench.execute.job_folder.prepare", stop)
    jobs = request(tmp_path, [{}], seeds=5).plan.jobs
    Manifest("acts", "1.0", INSTALLED, jobs).write(tmp_path)
    path = write_job_manifest(jobs[3], tmp_path, INSTALLED)
    with pytest.raises(StopError, match=f"/{jobs[3].name}$"):
        run_worker([str(path), jobs[3].id, "--trainer", TRAINER])
    assert reads == {jobs[3].name: 1}
    assert read_manifest(path).jobs == [jobs[3]]


def stop(folder: Path) -> None:
    raise StopError(str(folder))


def test_a_scheduler_reads_the_manifest_once_for_any_number_of_jobs(tmp_path: Path, reads: Counter[str]) -> None:
    for seeds in (1, 3):
        reads.clear()
        asked = request(tmp_path, [{"act": "finish"}], seeds=seeds)
        run_sweep(asked, Watch(), None)
        assert reads["acts"] == (seeds > 1), "the first run finds none"
    assert not list(asked.folder.glob(f"*/{MANIFEST}")), "a job that is done needs none"
    reads.clear()
    assert len(read_folder(asked.folder).records) == 3
    assert reads == {"acts": 1}


def test_a_plan_makes_each_cell_once_and_copies_it_for_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    original = job.make_job
    monkeypatch.setattr(expand, "make_job", lambda *args, **more: (made.append(args), original(*args, **more))[1])
    jobs = request(tmp_path, [{}, {"act": "finish"}], seeds=50).plan.jobs
    assert (len(jobs), len(made)) == (100, 2)
    assert [one.seed for one in jobs if one.profile] == [0, 0]

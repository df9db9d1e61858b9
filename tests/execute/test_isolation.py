"""Machines that run out of memory or disk, and schedulers that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.outcome import in_units
from grape_bench.execute.sweep import run_sweep
from grape_bench.record.folder import read_records
from tests.execute.sweeps import Watch, request
from tests.execute.test_sweep import gone

CGROUP = Path("/sys/fs/cgroup/memory/grape-bench-test")


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup of 256 MiB, if this process may create one."""
    try:
        CGROUP.mkdir(exist_ok=True)
        (CGROUP / "memory.limit_in_bytes").write_text(str(2**28))
    except OSError as error:
        pytest.skip(f"cannot create a memory cgroup here: {error}")
    yield CGROUP
    CGROUP.rmdir()


def test_a_job_killed_by_the_kernels_oom_killer(tmp_path: Path, small_cgroup: Path) -> None:
    acts = [{"act": "hog-in-cgroup", "cgroup": str(small_cgroup)}, {"act": "finish"}]
    records = run_sweep(request(tmp_path, acts), Watch(), None)
    assert [record.status for record in records] == ["oom", "finished"]
    assert records[0].reason.startswith("killed by the kernel: ")


@pytest.mark.slow
def test_a_daemon_dies_when_the_scheduler_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import sys\nfrom pathlib import Path\nfrom grape_bench.execute.sweep import run_sweep\n"
        "from tests.execute.sweeps import Watch, request\nfolder = Path(sys.argv[1])\n"
        "acts = [{'act': 'daemon-hang', 'pids': str(folder / 'pids')}]\n"
        "run_sweep(request(folder, acts), Watch(), None)"
    )
    scheduler = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    while not (pids.exists() and pids.read_text().endswith("\n")):
        assert scheduler.poll() is None
    scheduler.kill()
    scheduler.wait()
    assert gone(int(pids.read_text()))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB, if this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_the_run_and_the_same_command_resumes_when_there_is_space(
    tmp_path: Path, small_disk: Path
) -> None:
    acts = [{"act": "finish"}, {"act": "fill", "been": str(tmp_path / "been")}, {"act": "finish", "n": 2}]
    asked = replace(request(tmp_path, acts, slots=1), folder=small_disk / "acts")
    with pytest.raises(UserError, match=r"the system refused this: No space left on device\n  try: free some space"):
        run_sweep(asked, Watch(), None)
    before = read_records(asked.folder)
    assert [record.task for record in before if record.status == "finished"] == ["task0"]
    assert not list(asked.folder.glob("*/.record*"))

    subprocess.run(["mount", "-o", "remount,size=3m", str(small_disk)], check=True)
    records = run_sweep(asked, Watch(), None)
    assert {record.status for record in records} == {"finished"}
    assert records[0] == before[0]


def test_a_record_that_the_scheduler_cannot_write_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(tmp_path, [{"act": "kill-parent"}])

    class FullFromNowOn(Watch):
        def started(self, job: object) -> None:
            def full(descriptor: int) -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr("grape_bench.record.write.os.fsync", full)

    with pytest.raises(UserError, match="No space left on device"):
        run_sweep(asked, FullFromNowOn(), None)
    assert not list(asked.folder.glob("*/*record*"))


def test_amounts_of_memory_in_units() -> None:
    assert (in_units(600 * 2**20), in_units(5 * 2**29)) == ("600 MiB", "2.50 GiB")

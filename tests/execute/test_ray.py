"""Sweeps on a real Ray cluster of two nodes, both on this machine."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.sweep import Request, run_sweep
from grape_bench.plan.suite import Cluster
from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from tests.execute.sweeps import Watch, request
from tests.execute.test_sweep import gone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]  # starting a cluster takes seconds
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        # Like a shell that starts it in the background: a process that ignores SIGINT passes this on to its children.
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            two_nodes = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
            two_nodes.add_node(num_cpus=2, num_gpus=1)
        finally:
            signal.signal(signal.SIGINT, heard)
        yield two_nodes
        two_nodes.shutdown()


def on_ray(cluster: Any, folder: Path, acts: list[dict[str, object]], gpus: float) -> Request:
    asked = request(folder, acts)
    wanted = Cluster.model_validate({"gpus": gpus, "ray": {"address": cluster.address}})
    return dataclasses.replace(asked, executor="ray", options=dataclasses.replace(asked.options, cluster=wanted))


def test_a_request_that_fits_no_node_is_refused(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no node has the 1 CPUs, 64 GPUs"):
        run_sweep(on_ray(cluster, tmp_path, [{"act": "finish"}], gpus=64), Watch(), None)


def test_an_interrupt_ends_every_process(cluster: Any, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    class Impatient(Watch):
        def progressed(self, progress: dict[str, dict[str, object]]) -> None:
            if pids.exists() and len(pids.read_text().split()) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(on_ray(cluster, tmp_path, [{"act": "hang", "pids": str(pids)}], gpus=0.5), Impatient(), None)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


class Killing(Watch):
    """Kills a node when both are full. The other jobs may end after the jobs of that node are gone."""

    def __init__(self, cluster: Any, go: Path) -> None:
        super().__init__()
        self.cluster, self.go = cluster, go
        self.begun = 0
        self.pids: list[int] = []

    def progressed(self, progress: dict[str, dict[str, object]]) -> None:
        super().progressed(progress)
        if len(progress) == 3 and not self.pids:
            self.pids = [int(path.read_text()) for path in self.go.parent.glob("*.pid")]
            self.cluster.remove_node(self.cluster.worker_nodes.copy().pop(), allow_graceful=False)
        if self.pids and sum(not Path(f"/proc/{pid}").exists() for pid in self.pids) == 2:
            self.go.touch()

    def started(self, job: Job) -> None:
        self.begun += 1


def test_every_job_has_its_record_when_a_node_is_killed(cluster: Any, tmp_path: Path) -> None:
    go, count = tmp_path / "go", tmp_path / "count"
    acts: list[dict[str, object]] = [{"act": "wait", "until": str(go), "count": str(count), "n": n} for n in range(4)]
    asked = on_ray(cluster, tmp_path, [*acts, {"act": "vanish"}], gpus=0.5)
    watch = Killing(cluster, go)
    records = run_sweep(asked, watch, None)
    assert [record.status for record in records] == ["finished"] * 4 + ["crashed"]
    assert records[4].reason == "the process ended with exit code 137"
    assert watch.begun == 5
    assert len(count.read_text().splitlines()) == 4, "the killed node's jobs have ended once, elsewhere"
    assert read_records(asked.folder) == records

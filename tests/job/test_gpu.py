"""Whole jobs on a real GPU: memory, checkpoints, deterministic training, and running out of memory."""

import pytest
import torch

from grape_bench.execute.worker import failure
from grape_bench.job.run import run
from grape_bench.record.status import Status
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.checkpoint_files import CheckpointFolder, Period
from tests.gpu import CUDA, ON_A_GPU
from tests.job.jobs import job

pytestmark = ON_A_GPU
MEBI = 2**20


def ignore(row):
    pass


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape"])
def test_a_small_networks_peak_memory_is_its_own_not_cublas_workspace(rule):
    measured = run(job(rule), ignore)
    assert measured["status"] == "finished"
    assert measured["memory"]["kind"] == "cuda"
    assert 0 < measured["memory"]["peak_bytes"] < 10 * MEBI


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape", "grape+anchor", "fg"])
def test_a_deterministic_job_repeats_itself(rule):
    try:
        first, second = (run(job(rule, deterministic=True), ignore)["result"] for _ in range(2))
        assert first == second
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_precisions(precision):
    measured = run(job("grape", precision=precision, probes=1), ignore)
    assert measured["status"] == "finished"
    assert measured["result"]["test"] > 50


def test_a_profile_has_energy_and_a_diagnosis_has_alignment():
    measured = run(job("grape", profile=True), ignore)
    assert measured["profile"]["step_ratio"] > 0
    assert measured["diagnostics"] is not None


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("rule", ["dfa", "grape+anchor"])
def test_a_job_resumes_from_a_checkpoint(rule, tmp_path):
    whole = run(job(rule, epochs=3), ignore)

    def stop_after_the_second(row):
        if row["epoch"] == 2:
            raise StoppedError

    def checkpoints():
        return Checkpoints(CheckpointFolder(tmp_path, "stamp"), Period.parse("1epochs"))

    with pytest.raises(StoppedError):
        run(job(rule, epochs=3), stop_after_the_second, checkpoints())
    resumed = run(job(rule, epochs=3), ignore, checkpoints())
    assert resumed["result"]["test"] == pytest.approx(whole["result"]["test"], abs=1.0)


def test_running_out_of_memory_is_oom():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**45, dtype=torch.uint8, device=CUDA)
    assert failure(error.value)["status"] == Status.OOM

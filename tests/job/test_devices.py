"""Whole jobs on a pretended GPU: data, training, diagnostics, checkpoints and evaluation without mixed devices."""

import pytest
import torch

from grape_bench.job.run import run
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.record.environment import Arithmetic
from grape_bench.train import data_parallel
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.checkpoint_files import CheckpointFolder, Period
from tests.job.jobs import job
from tests.pretended import GPU, PretendedGPU

FULL_FP32 = Arithmetic(
    tf32_products=False, tf32_cudnn=False, cudnn_benchmark=False, cudnn_deterministic=False, deterministic=False
)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(data_parallel, "local_device", lambda: GPU)
    with PretendedGPU() as bed:
        yield bed


def ignore(row):
    pass


def trainer_of(rule, epochs=2):
    spec = job(rule, epochs=epochs)
    data = load_data(spec, GPU)
    return make_trainer(spec, build_model(spec, data, GPU), data, rule, {})


@pytest.mark.parametrize("rule", ["fa", "dfa", "local"])
def test_a_job_has_the_results_of_the_cpu(rule, request):
    spec = job(rule, probes=1)
    on_cpu = run(spec, ignore)
    request.getfixturevalue("gpu")
    on_gpu = run(spec, ignore)
    assert on_gpu["result"] == pytest.approx(on_cpu["result"], rel=1e-3)
    assert on_gpu["diagnostics"] is not None
    assert (on_cpu["memory"]["kind"], on_gpu["memory"]["kind"]) == ("rss", "cuda")
    assert "warm_up_s" not in on_cpu["time"]
    assert on_gpu["time"]["warm_up_s"] > 0  # the first step is not part of the training time
    assert on_cpu["arithmetic"] is None
    assert Arithmetic(**on_gpu["arithmetic"]) == FULL_FP32


@pytest.mark.parametrize("rule", ["grape+refit", "fg"])
def test_a_checkpoint_file_resumes_on_the_gpu(rule, gpu, tmp_path):
    begun, whole, resumed = trainer_of(rule, epochs=1), trainer_of(rule), trainer_of(rule)
    begun.observers.append(Checkpoints(CheckpointFolder(tmp_path), Period(epochs=1)))
    begun.train()
    assert Checkpoints(CheckpointFolder(tmp_path), Period()).resume(resumed)
    for trainer in (whole, resumed):
        trainer.train()
    pairs = zip(whole.network.model.parameters(), resumed.network.model.parameters(), strict=True)
    assert all(a.device == b.device == GPU and torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape"])
def test_an_epoch_waits_for_its_losses_and_scores_alone(rule, gpu):
    trainer = trainer_of(rule, epochs=1)
    gpu.waits.clear()
    trainer.train()
    assert 0 < gpu.waits.total() < 10 < trainer.steps_per_epoch


def test_a_job_on_a_mac_runs_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")

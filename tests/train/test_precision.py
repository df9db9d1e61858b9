"""Every number format trains, or is refused in words; compiled and deterministic training."""

import pytest
import torch

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.train.precision import Precision, set_arithmetic
from tests.job.jobs import job
from tests.job.test_run import nothing, train

CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def _arithmetic_of_others():
    yield
    set_arithmetic("fp32", deterministic=False)


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "grape+anchor"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_trains_as_well_and_is_really_used(precision, rule):
    full, low = (training.run(job(rule, precision=name), nothing) for name in ("fp32", precision))
    assert low["result"]["test"] > full["result"]["test"] - 5
    assert low["result"]["test_loss"] != full["result"]["test_loss"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_cnn_in_low_precision(precision):
    rows = []
    spec = job("grape", model="cnn", model_args={"channels": [8, 8]}, precision=precision)
    assert training.run(spec, rows.append)["status"] == "finished"
    assert rows[1]["train_loss"] < rows[0]["train_loss"]


def test_fp16_leaves_out_a_step_that_overflows_and_goes_on_with_a_smaller_scale():
    precision = Precision("fp16")
    weight = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    before = precision.scaler.get_scale()
    for factor, expected in ((1e38, 1.0), (0.25, 0.75)):
        optimizer.zero_grad()
        precision.backward(factor * weight)
        precision.step(optimizer)
        assert weight.item() == expected
    assert precision.state_dict()["scale"] == before / 2
    again = Precision("fp16")
    again.load_state_dict(precision.state_dict())
    assert again.scaler.get_scale() == before / 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_tf32_is_refused_without_a_gpu():
    with pytest.raises(UserError, match=r"a CPU does not support tf32[^Z]*allowed: fp32, bf16, fp16"):
        training.check(job(precision="tf32"))


@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler is enabled")
@pytest.mark.parametrize(("name", "missing"), [("tf32", True), ("bf16", True), ("fp16", False)])
def test_an_old_gpu_has_neither_tf32_nor_bf16(monkeypatch, name, missing):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    if missing:
        with pytest.raises(UserError, match=f"Tesla T4 does not support {name}"):
            Precision(name, CUDA)
    else:
        Precision(name, CUDA)


def test_tf32_and_fp32_set_matrix_products_and_convolutions_alike():
    for name, used in (("tf32", True), ("fp32", False)):
        set_arithmetic(name, deterministic=False)
        assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == used


def test_deterministic_mode_is_on_for_that_job_alone(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    training.run(job(deterministic=True, epochs=1), nothing)
    assert torch.are_deterministic_algorithms_enabled()
    training.run(job(epochs=1), nothing)
    assert not torch.are_deterministic_algorithms_enabled()


def compiled_with(backend, monkeypatch):
    whole = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *args, **settings: whole(*args, **{**settings, "backend": backend}))


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("rule", ["bp", "grape"])
def test_a_compiled_model_trains_and_its_compilation_is_not_training_time(rule, monkeypatch):
    compiled_with("eager", monkeypatch)
    plain, compiled = (training.run(job(rule, compile=flag), nothing) for flag in (False, True))
    assert compiled["result"] == pytest.approx(plain["result"])
    assert compiled["time"]["compile_s"] > 0 == plain["time"]["compile_s"]
    assert compiled["time"]["train_s"] < 20 * plain["time"]["train_s"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:torch")
def test_compiled_by_inductor_in_bf16():
    torch.compiler.reset()
    spec = job("grape", compile=True, precision="bf16")
    assert train(spec).network.model._compiled_call_impl is not None
    assert training.run(spec, nothing)["result"]["test"] > 60

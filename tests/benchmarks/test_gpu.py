"""The GPU benchmark on a CPU: the whole script at toy sizes, and its checks with a fake CUDA."""

import csv
import os
import signal
import subprocess
import sys

import pytest
import torch

from benchmarks import gpu
from grape_bench.network import parallel
from tests.network.conftest import fake_cuda  # noqa: F401

CPU = torch.device("cpu")
BLOCKED = "mlflow datasets pandas pyarrow sklearn scipy pydantic matplotlib transformers rich click ray lightning"
ALONE = f"""
import sys
sys.modules.update(dict.fromkeys("{BLOCKED}".split()))  # None: importing them fails
from benchmarks.gpu import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_the_script_runs_with_torch_and_timm_alone(tmp_path):
    options = ["--out", str(tmp_path / "out"), "--device", "cpu", "--smoke"]
    ran = subprocess.run([sys.executable, "-c", ALONE, *options], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "Streams and graphs need CUDA and were left out." in ran.stdout
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["rule"]) for row in rows] == [
        (model, rule) for model in ("transformer, depth 2", "ViT") for rule in ("bp", "dfa", "grape-lazy")
    ]
    assert all(float(row["step ms"]) > 0 and row["blocks"] == "2" for row in rows)
    assert all(float(row["eager off by"]) == 0 for row in rows)  # a CPU repeats itself
    assert (tmp_path / "out" / "gpu.md").read_text().startswith("CPU · torch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "out")]) == 2
    assert "no CUDA device here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variant", [variant for variant in gpu.VARIANTS if variant[1] != "eager"], ids=" ".join)
def test_the_check_passes_for_what_is_right(variant, fake_cuda):  # noqa: F811
    (case,) = gpu.transformers(smoke=True)
    assert gpu.check(case, variant, CPU).problem == ""


def rows_of(variants):
    (case,) = gpu.transformers(smoke=True)
    return list(gpu.rows_of(case, [variants], CPU, budget_s=0))


def test_a_failed_check_is_reported_not_timed(fake_cuda, monkeypatch):  # noqa: F811
    right = parallel.backward_of

    def wrong(network, pass_, batch, loss_of):
        loss = right(network, pass_, batch, loss_of)
        for parameter in network.model.parameters():
            parameter.grad.mul_(1.1)
        return loss

    monkeypatch.setattr(parallel, "backward_of", wrong)
    rows = {row.variant: row for row in rows_of([gpu.BP, ("dfa", "streams")])}
    assert rows[gpu.BP].seconds
    assert not rows["dfa", "streams"].seconds
    assert "weights off by" in rows["dfa", "streams"].problem


@pytest.mark.parametrize("end", ["an error", "a signal"])
def test_an_error_or_a_killed_process_costs_its_own_row_only(end, monkeypatch, tmp_path):
    """CUDA errors are no UserErrors, and the worst of them take the process along."""
    right = gpu.stepper

    def broken(case, variant, device):
        if variant == ("dfa", "eager"):
            if end == "a signal":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return right(case, variant, device)

    monkeypatch.setattr(gpu, "stepper", broken)
    run = gpu.Run(CPU, tmp_path, budget_s=0)
    run.table("Small transformer", gpu.transformers(smoke=True))

    assert run.end() == 1
    rows = {row.variant: row for row in run.rows}
    assert set(rows) == set(gpu.EAGER)
    assert rows[gpu.BP].seconds
    assert rows["grape-lazy", "eager"].seconds
    assert ("illegal memory access" if end == "an error" else "exit code -9") in rows["dfa", "eager"].problem
    assert rows["dfa", "eager"].problem in (tmp_path / "gpu.md").read_text()


def test_a_process_that_hangs_is_ended():
    def hang(send):
        send("begun")
        signal.pause()

    assert gpu.apart(0.5, hang) == (["begun"], "took over 0.5 s")

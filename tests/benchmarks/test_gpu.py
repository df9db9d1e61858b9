"""The GPU benchmark on a CPU: the whole script at toy sizes, and its checks on a stand-in for CUDA."""

import csv
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


def test_the_script_runs_with_torch_and_timm_alone(tmp_path):
    options = ["--out", str(tmp_path / "out"), "--device", "cpu", "--smoke"]
    ran = subprocess.run([sys.executable, "-c", ALONE, *options], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "Streams and graphs need CUDA and were left out." in ran.stdout
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["rule"]) for row in rows] == [
        (model, rule) for model in ("transformer, depth 2", "ViT") for rule in ("bp", "dfa", "grape")
    ]
    assert all(float(row["step ms"]) > 0 and row["blocks"] == "2" for row in rows)
    assert (tmp_path / "out" / "gpu.md").read_text().strip() == ran.stdout.strip()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "out")]) == 2
    assert "no CUDA device here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("variant", [variant for variant in gpu.VARIANTS if variant[1] != "eager"], ids=" ".join)
def test_the_check_passes_for_what_is_right(variant, fake_cuda):  # noqa: F811
    (case,) = gpu.transformers(smoke=True)
    assert gpu.problem(case, variant, CPU) == ""


def test_a_failed_check_is_reported_not_timed_and_changes_the_exit_code(fake_cuda, tmp_path, monkeypatch):  # noqa: F811
    right = parallel.backward_of

    def wrong(network, pass_, batch, loss_of):
        loss = right(network, pass_, batch, loss_of)
        for parameter in network.model.parameters():
            parameter.grad.mul_(1.1)
        return loss

    monkeypatch.setattr(parallel, "backward_of", wrong)
    run = gpu.Run(CPU, tmp_path, budget_s=0)
    run.variants = [("bp", "eager"), ("dfa", "streams")]
    run.table("Small transformer", gpu.transformers(smoke=True))

    assert run.end() == 1
    assert [row.variant for row in run.rows] == [("bp", "eager")]
    assert "dfa streams: the weights are off by" in (tmp_path / "gpu.md").read_text()

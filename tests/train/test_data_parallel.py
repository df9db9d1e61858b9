"""Two processes on parts of each batch against one process on the whole of it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from grape_bench.errors import UserError
from grape_bench.job import run as training
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device, process_seed
from grape_bench.record.environment import INSTALLED
from grape_bench.record.job import Job
from grape_bench.record.manifest import Manifest
from grape_bench.train import data_parallel
from grape_bench.train.checkpoint import Checkpoints
from grape_bench.train.checkpoint_files import CheckpointFolder, Period
from grape_bench.train.random_state import seed_everything
from tests.job.jobs import job
from tests.track.mlflow_server import free_port

RULES = (
    "bp",
    "fa",
    "dfa",
    "dfa+anchor",
    "head-only",
)  # their feedback is fixed: the gradients are those of one process


def spec(rule: str, **changes: Any) -> Job:
    augmented = {"augment": "flip-crop"}
    return job(rule, optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9}, dataset_args=augmented, **changes)


def trained(this: Job) -> dict[str, Any]:
    data = load_data(this, pick_device())
    trainer = make_trainer(this, build_model(this, data, pick_device()), data, this.rule, this.rule_settings)
    trainer.train()
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in trainer.rows]
    return {"weights": trainer.network.model.state_dict(), "rows": rows}


def with_dropout(epochs: int, folder: Path | None) -> dict[str, Any]:
    """GrAPE on a small ViT, up to the end of an epoch, from the checkpoint in `folder`; dropout differs by process."""
    dropout = {"model": "timm:test_vit", "model_args": {"proj_drop_rate": 0.1}}
    this = job("grape", **dropout, dataset_args={"resize": 16}, nproc=2, epochs=epochs)
    data = load_data(this, pick_device())
    trainer = make_trainer(this, build_model(this, data, pick_device()), data, this.rule, this.rule_settings)
    seed_everything(process_seed(this, "dropout"))
    if folder:
        checkpoints = Checkpoints(CheckpointFolder(folder), Period(epochs=1))
        trainer.observers.append(checkpoints)
        assert checkpoints.resume(trainer) == (epochs == 2)
    trainer.train()
    return {"weights": trainer.network.model.state_dict(), "random": torch.get_rng_state()}


def regression(**changes: Any) -> Job:
    return job("dfa", dataset="diabetes", optimizer={"name": "sgd", "lr": 0.03}, **changes)


def with_options(**changes: Any) -> Job:
    options = {"epochs": None, "steps": 15, "accumulate": 2, "evaluate_every": 5, "clip": 0.1, "ema": 0.9}
    return spec("dfa", **options, decay="weights", warmup=3, **changes)


def sums_of_both() -> dict[str, torch.Tensor]:
    """Process 0 has a count of 1 and one score, process 1 a count of 2 and two scores."""
    mine = data_parallel.rank() + 1
    return data_parallel.gathered_sums(
        {"count": torch.tensor(mine), "scores": torch.full((mine, 1), float(mine))}, ("scores",)
    )


def averaged_gradients(folder: Path) -> dict[str, list[float] | None]:
    """Averaged gradients of four weights. Process 0 has those of "both" and "first", process 1 "both" and "second"."""
    here = data_parallel.rank()
    weights = {name: torch.nn.Parameter(torch.zeros(2)) for name in ("first", "second", "both", "neither")}
    weights["both"].grad = torch.full((2,), float(here))
    weights[("first", "second")[here]].grad = torch.full((2,), 10.0)
    data_parallel.average_gradients(weights.values())
    return {name: None if weight.grad is None else weight.grad.tolist() for name, weight in weights.items()}


def every_rule(folder: Path) -> dict[str, Any]:
    found = {rule: trained(spec(rule, nproc=2)) for rule in (*RULES, "grape")}
    found["options"] = trained(with_options(nproc=2))
    return {**found, "regression": trained(regression(nproc=2)), "sums": sums_of_both()}


def interrupted(folder: Path) -> dict[str, Any]:
    found = {"in one go": with_dropout(2, None)}
    with_dropout(1, folder)
    data_parallel.agreed(True)  # waits for the first process, which has written the checkpoint
    return {**found, "resumed": with_dropout(2, folder)}


def _process(rank: int, port: int, folder: Path, what: Callable[[Path], dict[str, Any]]) -> None:
    torch.set_num_threads(1)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank}
    os.environ.update({name: str(value) for name, value in place.items()}, GLOO_SOCKET_IFNAME="lo")
    with data_parallel.joined(2):
        found = what(folder)
    torch.save(found, folder / f"{rank}.pt")


def in_two_processes(folder: Path, what: Callable[[Path], dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    mp.start_processes(_process, (free_port(), folder, what), nprocs=2, start_method="forkserver")
    return torch.load(folder / "0.pt"), torch.load(folder / "1.pt")


def test_two_processes_train_like_one_on_the_joint_batch(tmp_path: Path) -> None:
    first, second = in_two_processes(tmp_path, every_rule)
    for rule in (*RULES, "grape"):
        assert first[rule]["rows"] == second[rule]["rows"]
        for name, weight in first[rule]["weights"].items():
            assert torch.equal(weight, second[rule]["weights"][name]), (rule, name)
    for rule in RULES:
        alone = trained(spec(rule))
        for name, weight in alone["weights"].items():
            torch.testing.assert_close(first[rule]["weights"][name], weight, rtol=1e-3, atol=1e-5, msg=f"{rule} {name}")
        for row, expected in zip(first[rule]["rows"], alone["rows"], strict=True):
            assert row == pytest.approx(expected, rel=1e-4), rule
    assert first["grape"]["rows"][-1]["train_loss"] < first["grape"]["rows"][0]["train_loss"]
    for row, expected in zip(first["regression"]["rows"], trained(regression())["rows"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4) and "validation_rmse" in row
    for row, expected in zip(first["options"]["rows"], trained(with_options())["rows"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4) and row["step"] in (5, 10, 15)
    for sums in (first["sums"], second["sums"]):
        assert sums["count"] == 3 and sums["scores"].tolist() == [[1.0], [2.0], [2.0]]


def test_a_gradient_that_one_process_lacks_counts_as_zero_there(tmp_path: Path) -> None:
    """Each process may drop another layer."""
    for found in in_two_processes(tmp_path, averaged_gradients):
        assert found == {"first": [5, 5], "second": [5, 5], "both": [0.5, 0.5], "neither": None}


@pytest.mark.slow
def test_two_processes_go_on_from_their_checkpoint_to_the_bit(tmp_path: Path) -> None:
    first, second = in_two_processes(tmp_path, interrupted)
    for found in (first, second):
        assert torch.equal(found["in one go"]["random"], found["resumed"]["random"])
        for name, weight in found["in one go"]["weights"].items():
            assert torch.equal(weight, found["resumed"]["weights"][name]), name
    assert not torch.equal(first["resumed"]["random"], second["resumed"]["random"])


def test_a_worker_becomes_several_and_leaves_one_record(tmp_path: Path) -> None:
    pair = replace(spec("dfa"), nproc=2, profile=True)
    Manifest("test", "1", INSTALLED, [pair]).write(tmp_path)
    command = [sys.executable, "-m", "grape_bench.execute.worker", str(tmp_path / "manifest.json"), pair.id]
    subprocess.run([*command, "--threads=1"], check=True)
    record = json.loads((tmp_path / pair.name / "record.json").read_text())
    alone = training.run(spec("dfa"), lambda row: None)
    assert (record["status"], record["job"]["nproc"], record["profile"]) == ("finished", 2, None)
    assert record["result"] == pytest.approx(alone["result"], rel=1e-4)
    assert record["time"]["samples"] == alone["time"]["samples"]
    assert [row["epoch"] for row in csv.DictReader((tmp_path / pair.name / "curve.csv").open())] == ["1", "2"]


@pytest.mark.slow
def test_the_record_has_the_reason_of_the_process_that_failed_first(tmp_path: Path) -> None:
    pair = replace(spec("dfa"), nproc=2)
    Manifest("test", "1", INSTALLED, [pair]).write(tmp_path)
    command = [sys.executable, "-m", "grape_bench.execute.worker", str(tmp_path / "manifest.json"), pair.id]
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    failed = subprocess.run([*command, "--threads=1", "--trainer=tests.train.failing_rank"], env=place, check=False)
    record = json.loads((tmp_path / pair.name / "record.json").read_text())
    assert failed.returncode != 0 and record["status"] == "crashed"
    assert record["reason"] == "ValueError: the second one's own reason"


def test_batches_that_cannot_be_shared_out_evenly_are_refused() -> None:
    with pytest.raises(UserError, match="batches of 64 samples cannot be divided evenly among 3 processes"):
        trained(spec("bp", nproc=3))

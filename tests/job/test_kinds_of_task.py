"""Tasks other than image classification run through a whole job, and BP equals a plain loop bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from grape_bench import UserError
from grape_bench.job import run as training
from grape_bench.job.setup import build_model, load_data, make_trainer, pick_device
from grape_bench.record.job import Job
from grape_bench.streams import stream_seed
from tests.job.jobs import job
from tests.job.procedural import registered

KINDS: dict[str, dict[str, Any]] = {
    "regression": {"dataset": "diabetes", "model": "mlp"},
    "next-token": {"dataset": "counting", "model": "language", "model_args": {}},
    "binary": {"dataset": "halves", "model": "mlp"},
    "nodes": {"dataset": "ring", "model": "graph", "model_args": {}},
}


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with registered():
        yield


def spec(kind: str, rule: str = "bp", **more: Any) -> Job:
    settings = {**KINDS[kind], "epochs": 4, "batch_size": 16, "deterministic": False, **more}
    return job(rule, **settings)


@pytest.mark.parametrize(
    ("kind", "metric", "better"),
    [("regression", "rmse", -1), ("next-token", "perplexity", -1), ("binary", "roc_auc", 1), ("nodes", "accuracy", 1)],
)
@pytest.mark.parametrize(
    "rule", ["dfa", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("fa", "grape", "head-only"))]
)
def test_a_job_measures_its_own_metric(kind: str, metric: str, better: int, rule: str) -> None:
    rows: list[dict[str, float]] = []
    training.check(spec(kind, rule))
    found = training.run(spec(kind, rule, epochs=20), rows.append)
    assert found["status"] == "finished" and found["metric"]["name"] == metric
    assert rows[-1][f"validation_{metric}"] == found["result"]["validation"]
    assert better * found["result"]["test"] > better * found["metric"]["chance"]
    assert found["result"]["test_error"] > 0 or found["result"]["test"] == 100
    assert found["diagnostics"]["failed"] == ""
    if rule != "head-only":
        probe = "probe_r2" if kind == "regression" else "probe_accuracy"
        assert math.isfinite(found["diagnostics"][probe])


def test_the_chance_is_the_best_constant_predictor() -> None:
    found = {kind: training.run(spec(kind, epochs=1), lambda row: None)["metric"]["chance"] for kind in KINDS}
    # Every token and every class is equally frequent; the target's standard deviation is 77 points.
    assert found["next-token"] == pytest.approx(8) and found["nodes"] == pytest.approx(100 / 3)
    assert found["regression"] == pytest.approx(77, abs=3) and found["binary"] == 50


@pytest.mark.parametrize("kind", KINDS)
def test_bp_through_the_harness_ends_with_the_weights_of_a_plain_loop_to_the_bit(kind: str) -> None:
    task = spec(kind)
    data = load_data(task, pick_device())
    trainer = make_trainer(task, build_model(task, data, pick_device()), data, "bp", {})
    trainer.train()
    model = build_model(task, data, pick_device())
    optimizer = torch.optim.AdamW(model.parameters(), lr=task.optimizer["lr"])
    order = torch.Generator().manual_seed(stream_seed(task.seed, "order"))
    model.train()
    for _ in range(task.epochs):
        for (args, kwargs), target in data.train.batches(task.batch_size, generator=order):
            optimizer.zero_grad()
            output = model(*args, **kwargs)
            if kind == "regression":
                loss = F.mse_loss(output, target)
            elif kind == "binary":
                loss = F.binary_cross_entropy_with_logits(output, target[:, None].float())
            else:
                loss = F.cross_entropy(output.flatten(0, -2), target.flatten(), ignore_index=-100)
            loss.backward()
            optimizer.step()
    found = trainer.network.model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, found[name]), name


def test_rules_that_read_classes_are_refused_on_values(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import grape_bench as gb\nclass Mine(gb.DirectFeedback):\n    targets = 'classes'\n")
    rule = f"{file}:Mine"
    with pytest.raises(UserError, match="learns from classes, but the targets of 'regression' are values"):
        training.check(spec("regression", rule))
    training.check(spec("nodes", rule))


def test_a_suite_may_choose_another_objective() -> None:
    smooth = spec("nodes", objective="classification", objective_args={"label_smoothing": 0.1})
    losses = [training.run(one, lambda row: None)["result"]["train_loss"] for one in (spec("nodes"), smooth)]
    assert losses[0] != losses[1]
    with pytest.raises(UserError, match="the targets are 8 classes, but Regression needs values"):
        training.check(spec("next-token", objective="regression"))


def test_bits_per_character_are_the_logarithm_of_the_perplexity() -> None:
    bits = spec("next-token", objective="next-token", objective_args={"metric": "bits_per_character"})
    found = [training.run(one, lambda row: None)["result"]["test"] for one in (spec("next-token"), bits)]
    assert found[1] == pytest.approx(math.log2(found[0]))

"""The control `frozen`, and the same head on the features of every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import grape_bench as gb
from grape_bench import UserError
from grape_bench.job import converged_head
from grape_bench.job import run as training
from grape_bench.job.converged_head import untie
from grape_bench.models.names import MODELS
from grape_bench.record.record import Outcome
from grape_bench.record.status import Status
from tests.job.jobs import job
from tests.job.procedural import registered

CNN: dict[str, Any] = {"model": "cnn", "model_args": {"channels": [4, 8]}, "epochs": 1, "probes": 0}


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    with registered():
        yield


def run(rule: str, **more: Any) -> tuple[dict[str, Any], list[dict[str, float]]]:
    rows: list[dict[str, float]] = []
    return training.run(job(rule, features=None, **more), rows.append), rows


def test_the_untrained_blocks_of_head_only_have_the_features_of_frozen() -> None:
    """Also with augmentation and with BatchNorm, whose statistics a training changes."""
    frozen, rows = run("frozen", **CNN)
    trained, _ = run("head-only", **CNN, dataset_args={"augment": "flip-crop"})
    assert trained["features"] == frozen["features"]
    own = frozen["features"]
    assert (own["test"], own["validation"]) == (frozen["result"]["test"], frozen["result"]["validation"])
    assert own["test"] > trained["result"]["test"] + 20, "head-only has too few steps"
    assert [row["validation_accuracy"] for row in rows] == [own["validation"]]
    assert frozen["credit"]["bp_fraction"] == 0 and frozen["network"]["parameters"]["exact"] == 2
    assert Outcome.from_dict(frozen).status is Status.FINISHED


def test_the_features_of_bp_are_better_than_untrained_ones() -> None:
    trained, _ = run("bp", **CNN | {"epochs": 8})
    frozen, _ = run("frozen", **CNN)
    assert trained["features"]["test"] > frozen["features"]["test"] + 3
    assert trained["time"]["features_s"] > 0


@pytest.mark.parametrize(
    ("kind", "penalty"),
    [
        ({"dataset": "diabetes"}, True),
        ({"dataset": "halves"}, True),
        ({"dataset": "ring", "model": "graph", "model_args": {}}, True),
        ({"dataset": "counting", "model": "language", "model_args": {}}, False),
    ],
)
def test_every_kind_of_task_has_a_head(kind: dict[str, Any], penalty: bool) -> None:
    found, (row,) = run("frozen", **kind, batch_size=16)
    metric, result = found["metric"], found["result"]
    sign = -1 if metric["name"] in ("rmse", "perplexity") else 1
    assert sign * result["test"] > sign * metric["chance"]
    assert ("penalty" in found["features"]) is penalty
    assert row["samples"] == found["time"]["samples"] > 0 and found["time"]["steps"] <= 5 * 2 * 48 // 16


def test_a_head_that_is_trained_by_steps_is_better_than_with_the_budget_of_the_rule() -> None:
    kind = {"dataset": "counting", "model": "language", "model_args": {}, "batch_size": 16}
    frozen, head_only = (run(rule, **kind)[0]["result"]["test"] for rule in ("frozen", "head-only"))
    assert frozen < head_only


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 8)
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(2)))
        self.head = nn.Linear(8, 12, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(self.layers(self.embedding(ids)))
        return made


def test_a_tied_embedding_is_untied_before_the_head_is_trained() -> None:
    model, ids = Tied(), torch.arange(12).view(2, 6)
    before = model(ids)
    network = gb.attach(model, "head-only", ids)
    untie(network)
    network.detach()
    assert torch.equal(model(ids), before)
    assert model.head.weight is not model.embedding.weight
    assert gb.attach(model, "head-only", ids).report()["embedding.weight"] == "frozen"


class TiedByHand(nn.Module):
    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, 8)
        self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(2)))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.layers(self.embedding(input_ids)) @ self.embedding.weight.T
        return made


def test_a_weight_that_cannot_be_untied_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS._objects, "tied", TiedByHand)
    with pytest.raises(UserError, match=r"shares 'embedding\.weight'"):
        run("frozen", dataset="counting", model="tied", model_args={})


def test_a_failed_description_of_the_features_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no head")

    monkeypatch.setattr(converged_head, "converged_head", fails)
    found, rows = run("dfa", probes=0)
    assert found["status"] == "finished" and len(rows) == 2 and found["features"] is None
    assert found["lost"]["features"] == "RuntimeError: no head"


def test_a_trial_does_not_read_the_test_split() -> None:
    for rule in ("frozen", "bp"):
        found, _ = run(rule, trial=0)
        assert "test" not in found["result"] and not found.get("features")


def test_the_averaged_weights_are_described_where_they_are_scored() -> None:
    """The average hardly moves in one epoch, so it has the features of the untrained blocks, or nearly."""
    small: dict[str, Any] = {"model_args": {"hidden": [16]}, "epochs": 1, "probes": 0}
    averaged, plain, frozen = (
        run(rule, **small, **more)[0]["features"]["test"]
        for rule, more in (("bp", {"ema": 0.9999}), ("bp", {}), ("frozen", {}))
    )
    assert abs(averaged - frozen) < abs(plain - frozen)

"""Every built-in model of another kind than images trains under each kind of rule, through the whole of a job."""

from typing import Any

import pytest

from grape_bench.job import run as training
from tests.job.jobs import job

SMALL = {"width": 16, "depth": 2, "heads": 2}
WIDE = {"hidden": [16, 16]}
TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "language model": ("text", "transformer", SMALL),
    "post-norm": ("text", "transformer", {**SMALL, "norm": "post", "dropout": 0.1}),
    "encoder": ("sentences", "transformer", SMALL),
    "encoder of pairs": ("pairs", "transformer", {**SMALL, "causal": True}),
    "transformer of series": ("series", "transformer", SMALL),
    "lstm of text": ("text", "lstm", WIDE),
    "lstm": ("order", "lstm", WIDE),
    "gru": ("series", "gru", WIDE),
    "gcn": ("graph", "gcn", {}),
    "deep gcn": ("graph", "gcn", {"hidden": [8, 8, 8]}),
    "gat": ("graph", "gat", {"hidden": [4], "heads": 2}),
    "siren": ("points", "siren", WIDE),
    "coordinates": ("points", "coordinate-mlp", {**WIDE, "features": 16}),
    "tower": ("table", "tower", WIDE),
    "layered energy": ("digits", "layered-energy", {**WIDE, "steps": 4}),
    "snn": ("digits", "snn", {**WIDE, "steps": 4}),
    "snn of rates": ("digits", "snn", {**WIDE, "steps": 4, "encoder": "rate"}),
    "snn of latencies": ("digits", "snn", {**WIDE, "steps": 4, "encoder": "latency"}),
}


@pytest.mark.parametrize(
    "rule", ["dfa", *(pytest.param(rule, marks=pytest.mark.slow) for rule in ("grape", "head-only"))]
)
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_an_epoch(task: str, rule: str, sets: dict[str, dict[str, Any]]) -> None:
    if TASKS[task][1] in ("gcn", "gat"):
        pytest.importorskip("torch_geometric")
    if TASKS[task][1] == "snn":
        pytest.importorskip("snntorch")
    data, model, args = TASKS[task]
    settings = {"epochs": 1, "batch_size": 16, "deterministic": False, "profile": rule == "grape"}
    spec = job(rule, model=model, model_args=args, **settings, **sets_of(sets, data))
    training.check(spec)
    found = training.run(spec, lambda row: None)
    assert found["status"] == "finished"
    assert found["network"]["parameters"]["rule"] > 0 or rule == "head-only"
    blocks = [block["name"] for block in found["network"]["blocks"]]
    assert len(blocks) == hidden_layers(model, args), blocks


def sets_of(sets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return {"dataset_args": {}, **sets[name]}


def hidden_layers(model: str, args: dict[str, Any]) -> int:
    if model == "transformer":
        return int(args["depth"])
    return len(args.get("hidden", [16]))

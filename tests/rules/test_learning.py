"""Every shipped rule learns: on the digits it ends above a head on blocks that stay as they were."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from grape_bench.job import run as training
from grape_bench.rules.catalog import CATALOG
from tests.job.jobs import job
from tests.rules.test_adaptive_twins import LEARNERS

QUICK: dict[str, Any] = {"model_args": {"hidden": [32, 32]}, "epochs": 4, "optimizer": {"name": "adamw", "lr": 1e-2}}
SLOW: dict[str, Any] = {"model_args": {"hidden": [64, 64]}, "epochs": 8, "optimizer": {"name": "adamw", "lr": 1e-3}}
NEED_TIME = {"drtp", "dni", "ff"}  # small rates, and more steps
# They train in tests of their own: on a vision transformer, in time, on a graph, on an energy model, or on the digits.
ELSEWHERE = {"bp-window", "dfa-time", "eprop", "rflo", "dfa-gnn", "ep", "pepita", "dtp", "pc", *LEARNERS}
RULES = [name for name, entry in CATALOG.items() if entry.family != "control" and name not in ELSEWHERE]


@cache
def accuracy(rule: str, slow: bool) -> float:
    spec = job(rule, **(SLOW if slow else QUICK), batch_size=32, profile=False, probes=0, features=False)
    found: float = training.run(spec, lambda row: None)["result"]["test"]
    return found


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_learns_more_than_a_head_alone(rule: str) -> None:
    slow = rule in NEED_TIME
    learned, control = accuracy(rule, slow), accuracy("head-only", slow)
    assert learned > control + 3, (learned, control)

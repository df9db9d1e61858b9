"""The part of a record on weights: which of them a step of the rule reads, and whether the rule changes any itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from grape_bench.attachment import attach
from grape_bench.data.dataset import DataSet
from grape_bench.job.setup import EXAMPLE, budget_of, build_model, example_of, pick_device
from grape_bench.network.lazy import build_lazy
from grape_bench.network.network import Network
from grape_bench.network.own_steps import takes_own_steps
from grape_bench.network.transport import transport
from grape_bench.objectives.objective import Objective
from grape_bench.record.job import Job
from grape_bench.rules.exact_steps import ExactSteps, bare
from grape_bench.rules.make import make_rule


def transport_of(job: Job, data: DataSet, objective: Objective) -> dict[str, Any]:
    """What a step of the job's rule takes from the weights, on new copies of the model. Call it after training.

    `anchor_share` is the share of steps with exact gradients (anchors and the finish), which read every weight.
    `own_steps` is whether the rule changes weights without the optimizer.
    """
    batch, _ = next(iter(data.validation.batches(EXAMPLE)))
    device = pick_device()
    budget = budget_of(job, data)
    whole = make_rule(job.rule, **job.rule_settings)

    def make(prepare: Callable[[nn.Module], None]) -> Network:
        model = build_model(job, data, device)
        build_lazy(model, batch)  # `prepare` changes weights, which lazy modules do not have yet
        prepare(model)
        rule = bare(make_rule(job.rule, **job.rule_settings))
        network = attach(model, rule, example_of(model, batch), seed=job.seed, axis=objective.axis)
        network.begin_epoch(max(budget.batches, 2))
        return network

    found: dict[str, Any] = {
        "transport": transport(make, batch),
        "own_steps": takes_own_steps(make(lambda model: None), batch),
    }
    if isinstance(whole, ExactSteps):
        found["anchor_share"] = whole.exact_share(budget.batches, budget.epochs)
    return {**found, "transport_allowed": True} if getattr(bare(whole), "allow_transport", False) else found

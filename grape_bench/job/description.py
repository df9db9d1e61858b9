"""What a record says about a job besides its scores: the metric, how much backpropagation it used, the network."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from grape_bench.data.dataset import DataSet
from grape_bench.network.network import Network
from grape_bench.objectives.names import METRIC_UNITS
from grape_bench.objectives.objective import Objective
from grape_bench.record.job import Job
from grape_bench.streams import STREAMS, stream_seed
from grape_bench.train.loop import Trainer


def metric_of(objective: Objective, data: DataSet) -> dict[str, Any]:
    """What the scores are, and the score of a predictor that sees no input."""
    name = objective.metric
    return {"name": name, "unit": METRIC_UNITS[name], "chance": objective.chance(data)}


def credit_of(trainer: Trainer) -> dict[str, Any]:
    """How much of backpropagation the rule used: measured, declared, and the counts behind the measurement.

    These count mini-batches, of which a step of the optimizer may accumulate several.
    """
    network, budget = trainer.network, trainer.budget
    return {
        "bp_fraction": network.bp_fraction,
        "declared_bp_fraction": network.rule.bp_fraction(budget.batches, budget.epochs),
        "steps": network.counts.steps,
        "forward_passes": network.counts.forward,
        "backward_passes": network.counts.backward,
        "hidden_block_passes": network.counts.hidden,
        **_left_out(network),
    }


def _left_out(network: Network) -> dict[str, int]:
    """For models that leave out layers: how many blocks were absent, and in how many passes a cut was missing."""
    counts = network.counts
    return {"absent_blocks": counts.absent, "detours": counts.detours} if counts.absent else {}


def network_of(network: Network) -> dict[str, Any]:
    """The blocks with their feedback, how many parameters get which kind of gradient, and the rule's own."""
    counts = Counter(network.report().values())
    feedback = {name: asdict(kept) for name, kept in network.feedback().items()}
    return {
        "blocks": [
            {"name": block.name, "shape": list(block.shape), "feedback": feedback.get(block.name)}
            for block in network.blocks
        ],
        "parameters": {name: counts[name] for name in ("rule", "exact", "frozen")} | _nonzero(owned=counts["owned"]),
        **_nonzero(owned=[{"name": name, "numbers": p.numel()} for name, p in network.owned.named_parameters()]),
    }


def _nonzero(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def seeds_of(job: Job) -> dict[str, int]:
    """The job's seed, and those of its random streams."""
    return {"seed": job.seed, **{stream: stream_seed(job.seed, stream) for stream in STREAMS}}

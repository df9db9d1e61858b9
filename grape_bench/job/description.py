"""What a record says about a job besides its scores: metric, use of backpropagation, network, seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from grape_bench.data.dataset import DataSet
from grape_bench.diagnose.probe import Probe
from grape_bench.errors import UserError, raised
from grape_bench.network.network import Network
from grape_bench.objectives.names import METRIC_UNITS
from grape_bench.objectives.objective import Objective
from grape_bench.record import parts
from grape_bench.record.job import Job
from grape_bench.record.typed_json import decode, listed
from grape_bench.streams import STREAMS, stream_seed
from grape_bench.train.evaluate import Score
from grape_bench.train.loop import Trainer


def metric_of(objective: Objective, data: DataSet) -> dict[str, Any]:
    """The metric of the scores, and the score of a predictor that sees no input."""
    name = objective.metric
    return {"name": name, "unit": METRIC_UNITS[name], "chance": objective.chance(data)}


def result_of(validation: Score, train_loss: float, test: Score | None) -> dict[str, float]:
    """The scores of a job. `test` is None in a tuning trial."""
    found = {"validation": validation.value, "validation_loss": validation.loss, "train_loss": train_loss}
    if test is None:
        return found
    error = {} if math.isnan(test.error) else {"test_error": test.error}
    return {"test": test.value, **error, "test_loss": test.loss, **found}


def credit_of(trainer: Trainer) -> dict[str, Any]:
    """How much backpropagation the rule used: measured, declared, and the counts behind the measurement.

    The counts are mini-batches. An optimizer step may accumulate several of them.
    """
    network, budget = trainer.network, trainer.budget
    return {
        "bp_fraction": network.bp_fraction,
        "declared_bp_fraction": network.rule.bp_fraction(budget.batches, budget.epochs),
        "declared_transport": bool(network.rule.weight_transport),
        "steps": network.counts.steps,
        "forward_passes": network.counts.forward,
        "backward_passes": network.counts.backward,
        "hidden_block_passes": network.counts.hidden,
        **_left_out(network),
    }


def _left_out(network: Network) -> dict[str, int]:
    """For models that skip layers: how many blocks were absent, and how many passes were missing a cut."""
    counts = network.counts
    return {"absent_blocks": counts.absent, "detours": counts.detours} if counts.absent else {}


def network_of(network: Network) -> dict[str, Any]:
    """The blocks with their feedback, how many parameters get which kind of gradient, and the rule's own parameters."""
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
    """The job's seed, and the seeds of its random streams."""
    return {"seed": job.seed, **{stream: stream_seed(job.seed, stream) for stream in STREAMS}}


def describe(trainer: Trainer) -> None:
    """Make all descriptions once and discard them. Raises UserError if the rule cannot be described."""
    with _tried("the description of its feedback"):
        decode(parts.Network, listed(network_of(trainer.network)))
    with _tried("the description of its share of backpropagation"):
        decode(parts.Credit, listed(credit_of(trainer)))


def check_probe(probe: Probe) -> None:
    """Raise UserError if a metric failed in a probe that was taken."""
    with _tried("a probe of the diagnostics"):
        for error in probe.broken.values():
            raise error


@contextmanager
def _tried(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise UserError(
            f"{what} fails with {raised(error)}",
            hint="`kept_feedback`, `credit`, `bp_fraction` and `project` of the rule",
        ) from error

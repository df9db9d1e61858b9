"""A record can describe the rule: its feedback, its share of backpropagation, and one probe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule, steps_of
from grape_bench.data.dataset import Example
from grape_bench.diagnose.probe import Probe
from grape_bench.job.description import network_of
from grape_bench.network.trace import as_batch
from grape_bench.record.parts import Network
from grape_bench.record.typed_json import ShapeError, decode, listed


@dataclass(frozen=True)
class _Samples:
    """The first batch of a case, in the form that a probe reads."""

    case: Case

    def batches(self, batch_size: int, *, generator: torch.Generator | None = None) -> Iterator[Example]:
        """One batch."""
        yield as_batch(self.case.inputs(0)), self.case.target(0)


def check(case: Case, make_rule: MakeRule) -> str:
    """Train for whole periods, then describe the network as a record does, and take one probe."""
    network = case.attached(make_rule)
    case.train(network, steps_of(network.rule))
    try:
        decode(Network, listed(network_of(network)))
    except ShapeError as error:
        require(False, f"a record cannot hold the description of its feedback: {error}")
    declared = network.rule.bp_fraction(steps_of(network.rule), 1)
    require(isinstance(declared, int | float), f"bp_fraction returns {declared!r}, which is not a number")
    probe = Probe(_Samples(case), lambda output, _: case.loss_of(output, 0))
    probe.take(network, torch.optim.SGD(network.parameters(), lr=0.01))
    broken = "; ".join(f"{name}: {probe.failed[name]}" for name in probe.broken)
    require(not broken, f"a probe of the diagnostics fails: {broken}")
    unknown = "; ".join(probe.failed.values())
    kept = ", ".join(sorted({kept.kind for kept in network.feedback().values()})) or "none"
    return f"feedback: {kept}" + (f"; not measured: {unknown}" if unknown else "")

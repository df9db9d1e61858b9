"""The use of backpropagation is what was counted, and what the card declares."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.record.parts import Credit
from grape_bench.record.record import Record
from grape_bench.record.status import Status

COUNTED = {"bp": 1.0, "dfa": 0.0, "head-only": 0.0, "frozen": 0.0}
"""The references' passes through hidden blocks, as a share of BP's."""

WORDS = ("none", "learned from forward passes", "signs", "inside a block", "all")
"""The values of `Transport` in network/transport.py, which imports torch."""

TRANSPORT = ("signs", "all")
"""What a rule without weight transport never uses of the weights. Exact gradients inside a block are allowed."""


def problems(submission: Submission) -> Iterator[str]:
    """Compare the counted share with the passes, and the declared share and weight transport with the card."""
    card = submission.card
    for name, record in submission.records.items():
        if record.status is not Status.FINISHED:
            continue
        if record.credit is None:
            if "credit" not in (record.lost or {}):
                yield f"{name}: the use of backpropagation is missing"
            continue
        yield from (f"{name}: {problem}" for problem in _counts(record, record.credit))
        allowed = card.weight_transport or record.credit.transport_allowed
        if name in submission.own and record.credit.transport in TRANSPORT and not allowed:
            yield f"{name}: weight transport ({record.credit.transport}), but rule.toml says weight_transport = false"
    declared = [r.credit.declared_bp_fraction for r in submission.own.values() if r.credit]
    said = {r.credit.declared_transport for r in submission.own.values() if r.credit} - {None}
    if said and card.weight_transport != any(said):
        yield f"rule.toml: weight_transport = {card.weight_transport}, but the runs declare {not card.weight_transport}"
    if declared and card.bp_fraction not in declared:
        yield f"rule.toml: bp_fraction = {card.bp_fraction}, but the runs declare {declared[0]}"


def _counts(record: Record, credit: Credit) -> Iterator[str]:
    counts = {
        "backward_passes": credit.backward_passes,
        "hidden_block_passes": credit.hidden_block_passes,
        "forward_passes": credit.forward_passes,
        "steps": credit.steps,
    }
    if bad := [f"{name} = {value}" for name, value in counts.items() if value is not None and value < 0]:
        yield bad[0]
    steps, blocks = credit.steps or 0, len(record.network.blocks) if record.network else 0
    if credit.transport is not None and credit.transport not in WORDS:
        yield f"transport = {credit.transport!a} is none of {', '.join(WORDS)}"
    if record.rule == "bp" and credit.forward_passes is not None and {*counts.values()} != {steps, steps * blocks}:
        yield f"BP has a forward and a backward pass per step, but {steps} steps have {counts}"
    if credit.forward_passes is not None and credit.forward_passes < steps:
        yield f"{credit.forward_passes} forward passes in {steps} steps"
    fraction, possible = credit.bp_fraction, steps * blocks - (credit.absent_blocks or 0)
    if not steps and credit.hidden_block_passes:
        yield f"{credit.hidden_block_passes} passes through blocks, but no step"
    if fraction is None:
        return
    if possible > 0 and not math.isclose(fraction, credit.hidden_block_passes / possible, abs_tol=1e-6):
        yield f"bp_fraction = {fraction}, but {credit.hidden_block_passes} of {possible} passes were counted"
    if credit.declared_bp_fraction is not None and fraction > credit.declared_bp_fraction + 1e-3:
        yield f"bp_fraction = {fraction} was counted, but the rule declares {credit.declared_bp_fraction}"
    if not math.isclose(fraction, COUNTED.get(record.rule, fraction), abs_tol=1e-6):
        yield f"bp_fraction = {fraction}, but {record.rule} has {COUNTED[record.rule]}"

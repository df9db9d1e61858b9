"""The declared share of backpropagation is the one that is counted."""

from __future__ import annotations

from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule, steps_of

EPOCHS = 2
TOLERANCE = 0.01


def check(case: Case, make_rule: MakeRule) -> str:
    """`rule.bp_fraction(batches, epochs)` against `net.bp_fraction` after so many."""
    rule = make_rule()
    steps = steps_of(rule)
    declared = rule.bp_fraction(steps, EPOCHS)
    network = case.attached(make_rule)
    for _ in range(EPOCHS):
        case.train(network, steps)
    counted = network.bp_fraction
    require(
        abs(counted - declared) <= TOLERANCE,
        f"bp_fraction({steps}, {EPOCHS}) declares {declared:.3g}; {counted:.3g} was counted",
    )
    return f"{counted:.3g} in {EPOCHS} epochs of {steps} steps, as declared"

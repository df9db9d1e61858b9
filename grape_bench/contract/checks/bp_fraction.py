"""The declared `bp_fraction` matches the measured one."""

from __future__ import annotations

from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule, steps_of

EPOCHS = 2
TOLERANCE = 0.01


def check(case: Case, make_rule: MakeRule) -> str:
    """Compare `rule.bp_fraction(batches, epochs)` with `net.bp_fraction` after that many batches and epochs."""
    network = case.attached(make_rule)
    steps = steps_of(network.rule)
    network.planned_steps = EPOCHS * steps
    declared = network.rule.bp_fraction(steps, EPOCHS)
    for _ in range(EPOCHS):
        case.train(network, steps)
    counted = network.bp_fraction
    require(
        abs(counted - declared) <= TOLERANCE,
        f"bp_fraction({steps}, {EPOCHS}) declares {declared:.3g}, but {counted:.3g} was measured",
    )
    return f"{counted:.3g} in {EPOCHS} epochs of {steps} steps, as declared"

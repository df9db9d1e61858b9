"""Every parameter gets the gradient that `net.report()` claims, and it is finite."""

from __future__ import annotations

from collections import Counter

from grape_bench.contract.broken import difference, require
from grape_bench.contract.cases import Case, Gradients, MakeRule, steps_of
from grape_bench.network.reach import Credit

ROUNDING = 1e-4  # relative error of an exact gradient in fp32


def check(case: Case, make_rule: MakeRule) -> str:
    """Check that claimed gradients exist, are finite and are not always zero, and that exact ones equal BP's."""
    true = case.gradients(case.model(), 0)
    network = case.attached(make_rule)
    report = network.report()
    steps = case.train(network, steps_of(make_rule()))
    for name, credit in report.items():
        _inspect(name, credit, steps)
        if credit == "exact":
            off = difference(steps[0][name], true[name])
            require(
                off < ROUNDING,
                f"{name} is reported as exact, but its gradient differs from backpropagation's by {off:.1g} (relative)",
            )
    counts = Counter(report.values())
    return ", ".join(f"{counts[credit]} {credit}" for credit in ("rule", "exact", "frozen", "owned") if counts[credit])


def _inspect(name: str, credit: Credit, steps: list[Gradients]) -> None:
    found = [gradient for step in steps if (gradient := step[name]) is not None]
    if credit == "frozen":
        require(not found, f"{name} is reported as 'frozen', but gets a gradient")
        return
    require(bool(found), f"{name} is reported as {credit!r}, but gets no gradient")
    require(all(bool(gradient.isfinite().all()) for gradient in found), f"the gradient of {name} is not finite")
    zero = not any(bool(gradient.any()) for gradient in found)
    require(not zero, f"{name} is reported as {credit!r}, but its gradient is zero in all of {len(steps)} steps")

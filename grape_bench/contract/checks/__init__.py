"""One check per module: `check(case, make_rule)` returns what was measured, or raises BrokenPromiseError."""

from __future__ import annotations

from collections.abc import Callable

from grape_bench.contract.cases import Case, MakeRule
from grape_bench.contract.checks import (
    bp_fraction,
    description,
    determinism,
    devices,
    gradients,
    logits,
    random_state,
    restoration,
    state,
    weight_transport,
)

CHECKS: dict[str, Callable[[Case, MakeRule], str]] = {
    "gradients": gradients.check,
    "logits": logits.check,
    "determinism": determinism.check,
    "random state": random_state.check,
    "restoration": restoration.check,
    "state": state.check,
    "description": description.check,
    "bp_fraction": bp_fraction.check,
    "weight transport": weight_transport.check,
    "devices": devices.check,
}
"""The checks in order. If the first one cannot run, the others mean nothing."""

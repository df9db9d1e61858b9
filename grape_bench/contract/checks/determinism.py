"""The same seed gives the same training."""

from __future__ import annotations

import torch

from grape_bench.contract.broken import require, same
from grape_bench.contract.cases import Case, Gradients, MakeRule, steps_of


def check(case: Case, make_rule: MakeRule) -> str:
    """Attach twice with the same seed, under different global seeds. The gradients must be equal."""
    steps = steps_of(make_rule())
    first, second = (_train(case, make_rule, steps, global_seed) for global_seed in (1, 2))
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        for name in one:
            require(
                same(one[name], other[name]),
                f"attached twice with the same seed, the rule gives {name} different gradients in step {index + 1}; "
                "does it draw from network.generator?",
            )
    return f"equal gradients in {steps} steps"


def _train(case: Case, make_rule: MakeRule, steps: int, global_seed: int) -> list[Gradients]:
    torch.manual_seed(global_seed)
    return case.train(case.attached(make_rule), steps)

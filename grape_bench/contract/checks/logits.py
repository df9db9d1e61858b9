"""A rule changes gradients, but never the network's output."""

from __future__ import annotations

import torch

from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule, steps_of


def check(case: Case, make_rule: MakeRule) -> str:
    """Check that the logits are bit-identical without the rule, in training, in evaluation, and under no_grad."""
    plain, network = case.model(), case.attached(make_rule)
    steps = steps_of(make_rule())
    network.begin_epoch(steps)
    for index in range(steps):
        with case.informed(network, index):
            expected, found = case.logits(plain, index), case.logits(network.model, index)
            require(torch.equal(found, expected), f"the rule changes the logits in training (step {index + 1})")
            case.loss(found, index).backward()
    plain.eval()
    network.model.eval()
    expected = case.logits(plain, 0)
    require(torch.equal(case.logits(network.model, 0), expected), "the rule changes the logits in evaluation mode")
    with torch.no_grad():  # without gradients, some layers take another code path
        expected = case.logits(plain, 0)
        require(torch.equal(case.logits(network.model, 0), expected), "the rule changes the logits under no_grad")
    return "equal to the bit"

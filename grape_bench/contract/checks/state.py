"""What a rule has learned is in `state_dict`, so that training can go on from a file."""

from __future__ import annotations

import copy

from grape_bench.contract.broken import require, same
from grape_bench.contract.cases import Case, MakeRule, steps_of


def check(case: Case, make_rule: MakeRule) -> str:
    """A fresh attachment with another seed, given the state of a trained one, goes on with its gradients."""
    rule = make_rule()
    steps = steps_of(rule)
    trained, loaded = case.attached(make_rule, seed=0), case.attached(make_rule, seed=1)
    # Where a rule stands within its period is no state. An anchor takes one of its turns in an epoch; after as many
    # epochs as the period has steps, it stands at the beginning again.
    for _ in range(rule.period):
        case.train(trained, steps)
    loaded.model.load_state_dict(copy.deepcopy(trained.model.state_dict()))
    for network in (trained, loaded):
        network.reseed(2)  # what is drawn in each step is no state
    pairs = zip(case.train(loaded, steps), case.train(trained, steps), strict=True)
    for index, (one, other) in enumerate(pairs, start=1):
        for name in one:
            require(
                same(one[name], other[name]),
                f"loaded from its state_dict, the rule gives {name} other gradients (step {index}); "
                "does it keep its tensors with block.store?",
            )
    return f"equal gradients in {steps} steps after loading"

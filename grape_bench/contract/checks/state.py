"""A network's state is complete, so a training resumed from a file is bit-identical."""

from __future__ import annotations

import copy

from grape_bench.contract.broken import require, same
from grape_bench.contract.cases import Case, Gradients, MakeRule, steps_of


def check(case: Case, make_rule: MakeRule) -> str:
    """Save in mid-epoch and mid-period, load into a network with another seed, and compare the gradients after that."""
    steps = steps_of(make_rule())
    trained, loaded = case.attached(make_rule, seed=0), case.attached(make_rule, seed=1)
    case.train(trained, steps)
    trained.begin_epoch(steps)
    halfway = steps // 2 + 1
    for index in range(halfway):
        case.step(trained.model, index)
    loaded.load_state_dict(copy.deepcopy(trained.state_dict()))
    for index in range(halfway, steps):
        pair = case.step(loaded.model, index), case.step(trained.model, index)
        _compare(*pair, f"step {index - halfway + 1}")
    for index, pair in enumerate(zip(case.train(loaded, steps), case.train(trained, steps), strict=True), start=1):
        _compare(*pair, f"step {index} of the next epoch")
    return f"equal gradients in {steps - halfway} + {steps} steps after loading"


def _compare(loaded: Gradients, trained: Gradients, where: str) -> None:
    for name in loaded:
        require(
            same(loaded[name], trained[name]),
            f"after loading its state, the rule gives {name} different gradients ({where}); does it keep its tensors "
            "with block.store, and its counters as plain numbers?",
        )

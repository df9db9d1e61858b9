"""A rule does not touch the global random generators, so the draws of the model and the data do not depend on it."""

from __future__ import annotations

import pickle
import random

import numpy as np
import torch

from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule, steps_of


def check(case: Case, make_rule: MakeRule) -> str:
    """Check that neither attaching nor training advances the global generators of torch, NumPy and Python."""
    case.model()  # the first model imports libraries, which may draw random numbers
    before = _states()
    network = case.attached(make_rule)
    _compare(before, "when attached")
    case.train(network, steps_of(make_rule()))
    _compare(before, "in training")
    return "left alone"


def _states() -> dict[str, bytes]:
    return {
        "torch": pickle.dumps(torch.get_rng_state().tolist()),
        "NumPy": pickle.dumps(np.random.get_state()),
        "Python": pickle.dumps(random.getstate()),
    }


def _compare(before: dict[str, bytes], when: str) -> None:
    for library, state in _states().items():
        moved = state != before[library]
        require(
            not moved, f"the rule advances {library}'s global random state {when}; it must draw from network.generator"
        )

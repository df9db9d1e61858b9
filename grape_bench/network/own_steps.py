"""Detect rules that change the model's weights directly, not only through gradients."""

from __future__ import annotations

from functools import partial

import torch

from grape_bench.network.network import Network
from grape_bench.network.reads import labels_of, loss_of, loss_on, measuring, plain
from grape_bench.network.trace import Batch

STEPS = 4  # also finds a rule that changes weights only on every second step


def takes_own_steps(network: Network, batch: Batch) -> bool:
    """Run a few training steps on `batch` without an optimizer, on a copy, and check whether weights changed."""
    twin = plain(network)
    twin.begin_epoch(STEPS)
    model = twin.model
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with measuring(model), twin.informed(partial(loss_of, model), labels_of(twin, batch)):
        for _ in range(STEPS):
            loss_on(model, batch).backward()
    return not all(map(torch.equal, before, (parameter.detach() for parameter in model.parameters())))

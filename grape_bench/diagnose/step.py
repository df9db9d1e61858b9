"""A training step in its phases, as the loop and a profile take it."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from grape_bench.network.network import Network


class Step(Protocol):
    """`forward`, `credit` and `update` one after the other are a training step."""

    @property
    def network(self) -> Network:
        """What is trained."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What steps its weights."""

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss, of gradients emptied."""

    def credit(self, loss: Tensor) -> None:
        """Its gradients, as the rule gives them."""

    def update(self) -> None:
        """The optimizer's step."""

"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """The average of the parameters of `model` after each step: `decay` · average + (1 - `decay`) · weights.

    It starts as the weights after the first step, as in torch.optim.swa_utils.AveragedModel. It does not affect
    training. Buffers, such as BatchNorm statistics, are not averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self._tensors: list[Tensor] = []
        self._move = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(self) -> None:
        """Include the weights after a step."""
        weights: list[Tensor] = [parameter.detach() for parameter in self.model.parameters()]
        if self._tensors:
            self._move(self._tensors, weights, 0)
        else:
            self._tensors = [weight.clone() for weight in weights]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use the averaged weights in the model inside this block."""
        own = [parameter.detach().clone() for parameter in self.model.parameters()]
        self._set(self._tensors)
        try:
            yield
        finally:
            self._set(own)

    def state(self) -> dict[str, Any]:
        """The averages, for a resume."""
        return {"tensors": list(self._tensors)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from the result of `state`."""
        parameters = self.model.parameters()
        self._tensors = [tensor.to(own.device) for tensor, own in zip(state["tensors"], parameters, strict=False)]

    @torch.no_grad()
    def _set(self, tensors: list[Tensor]) -> None:
        for parameter, tensor in zip(self.model.parameters(), tensors, strict=False):
            parameter.copy_(tensor)

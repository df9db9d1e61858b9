"""Product feedback alignment: the product B R of two feedback paths aligns with W (Li and Benna 2024)."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.rules.backward import scale_of
from grape_bench.rules.kp import KP

LARGEST = 8192
"""The largest n_out. For a vocabulary of 50,000, B would have 25 billion entries."""


class PFA(KP):
    """FA whose feedback is B R. B (n_out x m) is fixed, and R (m x n_in) gets the update dR = B^T dW.

    The m = `expansion` n_out neurons in between have the errors B^T e, so each update is local to its synapse. B is
    Gaussian with variance 1/m, so that B B^T is close to I. If R and W have the same weight decay, R approaches B^T W,
    and B R approaches B B^T W. `decay` and `momentum` are those of KP, applied to R.
    """

    # R enters only through P = B R, and B only through G = B B^T: dP = B dR = G dW. So the rule stores P and G. P
    # follows G W as KP's feedback follows W.
    # Example: W (10, 256), expansion 10: B (10, 100), R (100, 256), P (10, 256), G (10, 10)

    def __init__(
        self, expansion: int = 10, decay: float = 0.0, momentum: float = 0.0, allow_transport: bool = False
    ) -> None:
        super().__init__(decay, momentum, allow_transport)
        if expansion < 1:
            raise ValueError("expansion must be at least 1")
        self.expansion = expansion

    @override
    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Concatenate P, G W, the velocity if there is momentum, and G in one flat tensor."""
        outputs, inputs = _rows(weight).shape
        if outputs > LARGEST:
            raise DoesNotApplyError(f"B has {self.expansion} n_out^2 numbers, and a weight has n_out = {outputs}")
        middle = self.expansion * outputs
        fixed = torch.randn(outputs, middle, generator=generator) / middle**0.5
        plastic = torch.randn(middle, inputs, generator=generator)
        product = (fixed @ plastic).to(weight) * scale_of(weight).to(weight)
        gram = (fixed @ fixed.T).to(weight)
        zeros = [torch.zeros_like(product)] if self.momentum else []
        return torch.cat([one.flatten() for one in (product, _mixed(gram, weight), *zeros, gram)])

    @override
    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """Return P = B R, after applying the last update of W to R, if there was one."""
        count = 3 if self.momentum else 2
        numbers = count * weight.numel()
        gram = feedback[numbers:].view(len(weight), -1)
        return super().matrix(_mixed(gram, weight), feedback[:numbers].view(count, *weight.shape))


def _rows(weight: Tensor) -> Tensor:
    return weight.reshape(len(weight), -1)


def _mixed(gram: Tensor, weight: Tensor) -> Tensor:
    """G W, shaped like W."""
    return (gram @ _rows(weight.detach())).view(weight.shape)

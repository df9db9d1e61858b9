"""Backpropagation of a sampled error: a few outputs, weighted by 1 / probability (Adelman et al. 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.passes import Pass
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch

Draw = Literal["magnitude", "uniform"]


class BPSampled(LearningRule):
    """e_k := m_k e_k / q_k at the output, where m_k is 1 with probability q_k, and 0 otherwise. Everything else is BP.

    The sum J^T e = sum_k J_k^T e_k then has about `samples` terms per sample and position, and the same mean. `draw =
    "magnitude"` sets q_k = min(1, `samples` |e_k| / sum |e|). With `samples` of at least 2, a cross-entropy then always
    keeps its target, like a sampled softmax. `"uniform"` sets q_k = min(1, `samples` / n_out). The output layer's own
    gradient also comes from the sampled error.
    """

    def __init__(self, samples: int = 4, draw: Draw = "magnitude") -> None:
        if samples < 1 or draw not in ("magnitude", "uniform"):
            raise ValueError("samples must be at least 1, and draw is 'magnitude' or 'uniform'")
        self.samples, self.draw = samples, draw

    @property
    @override
    def cuts(self) -> bool:
        """False: no gradient is cut."""
        return False

    @property
    @override
    def at_scores(self) -> bool:
        """True: the rule samples outputs, not the features below them."""
        return True

    @override
    def setup(self, network: Network) -> None:
        """Refuse a network with one output."""
        if network.output_shape[-1:] == (1,):
            raise DoesNotApplyError("this network has one output, so there is nothing to sample from")

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradient everywhere."""
        return dict.fromkeys(network.credit("exact", "above the cuts"), "rule")

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that samples the error when it arrives."""
        return _Sampled(self, network)

    def sampled(self, error: Tensor, generator: torch.Generator) -> Tensor:
        """The sampled error (N, ..., n_out). Probabilities are in full precision: half of it has no 1/1000 below 1."""
        given = error.dtype
        error = error.to(torch.promote_types(given, torch.float32))
        size = error.abs() if self.draw == "magnitude" else torch.ones_like(error)
        total = size.sum(-1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)
        keep = (self.samples * size / total).clamp(max=1)
        drawn = torch.rand(error.shape, generator=generator, device=error.device, dtype=error.dtype)
        return torch.where(drawn < keep, error / keep, 0.0).to(given)


class _Sampled(Pass):
    def __init__(self, rule: BPSampled, network: Network) -> None:
        self.rule, self.network = rule, network

    @override
    def join(self, logits: Tensor) -> Tensor:
        """Return the logits unchanged. The backward samples their error."""
        if logits.requires_grad:
            logits.register_hook(
                lambda error: self.rule.sampled(error, self.network.generator("perturbation", error.device))
            )
        return logits

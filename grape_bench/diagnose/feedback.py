"""How well a direct-feedback rule's B_l matches the network's Jacobian J_l."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grape_bench.diagnose.reading import NotMeasuredError, Reading, Values, at_last_call, forward, watch
from grape_bench.network.block import Block
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.rule import LearningRule
from grape_bench.network.trace import Batch
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.exact_steps import bare

EXACT_OUTPUTS = 16
"""With up to this many outputs, the Jacobian is computed exactly, by one backward pass per output."""

DIRECTIONS = 8
"""With more outputs, the number of random directions in output space."""

_MIXING = (nn.modules.batchnorm._BatchNorm,)


@dataclass(frozen=True)
class Term:
    """B^T v · J^T v, ||B^T v||^2 and ||J^T v||^2 for one output direction v, drawn with E[v v^T] = I."""

    product: float
    feedback: float
    jacobian: float


class FeedbackAlignment:
    """`feedback_cos`: cosine of B_l and the mean Jacobian over the first probe batch, both n_out x n_l.

    `feedback_error` is its standard error, zero if every output was used. Only rules with direct feedback have values.

    Both matrices are used only through products with output directions v. If a sample's output depends on other samples
    or tokens (BatchNorm, or attention over tokens that are scored one by one), J_l is the Jacobian of a sample or token
    with respect to itself. Random signs on the samples remove the rest from the mean. The squared norm is the product
    of two draws of the signs, so every term is unbiased.

    B_l is `rule.project`. A block whose signal does not come from `project` has no values, because its B_l is unknown.
    """

    def __init__(self, network: Network, rule: LearningRule) -> None:
        self.network = network
        self.rule = bare(rule)
        self._terms: dict[str, list[Term]] = {}
        self._exact = False
        self._used: set[str] = set()  # the blocks whose signals come from `project`
        if isinstance(self.rule, DirectFeedback):
            watch(self.rule, "project", lambda error, block: self._used.add(block.name))

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Use the first batch only. Raises NotMeasuredError if no signal comes from `project`."""
        if self._terms or not isinstance(self.rule, DirectFeedback):
            return
        if own.signals and not self._used:
            raise NotMeasuredError(f"the signals of {type(self.rule).__name__} do not come from its `project`")
        with preserved(self.network.model):
            self._compare(batch, self.rule)

    def _compare(self, batch: Batch, rule: DirectFeedback) -> None:
        _, watched = forward(self.network, Pass(), batch)
        joined = watched.joined
        if joined is None:
            return
        generator = torch.Generator().manual_seed(0)
        mixing = joined.dim() > 2 or any(module.training for module in self.network.model.modules() if _mixes(module))
        self._exact = not mixing and joined[0].numel() <= EXACT_OUTPUTS
        used = [at_last_call(block) for block in self.network.blocks if block.name in self._used]
        blocks = [block for block in used if _comparable(block, joined)]
        if not blocks:
            return
        self._terms = {block.name: [] for block in blocks}
        outputs = [watched.outputs[block.name] for block in blocks]
        for v in _directions(joined, self._exact, DIRECTIONS // (1 + mixing), generator):
            rows = [self._rows(joined, blocks, outputs, v, generator) for _ in range(1 + mixing)]
            for block, output, first, last in zip(blocks, outputs, rows[0], rows[-1], strict=True):
                error = block.part_of(v.expand_as(joined)).contiguous()
                feedback = rule.project(error, block.at(output.detach()))[0]
                self._terms[block.name].append(_term(feedback, first, last))

    def values(self) -> Values:
        """Return the values by block."""
        found: Values = {}
        for block, terms in self._terms.items():
            without = [_cosine(terms[:i] + terms[i + 1 :]) for i in range(len(terms))]  # jackknife
            mean = sum(without) / len(without)
            error = math.sqrt(sum((value - mean) ** 2 for value in without) * (len(terms) - 1) / len(terms))
            found[block] = {"feedback_cos": _cosine(terms), "feedback_error": 0.0 if self._exact else error}
        return found

    def _rows(
        self, joined: Tensor, blocks: list[Block], outputs: list[Tensor], v: Tensor, generator: torch.Generator
    ) -> list[Tensor]:
        """J_l^T v of every block, averaged over the samples."""
        rows = (joined.shape[0], *joined.shape[1:-1], 1)
        signs = (2 * torch.randint(2, rows, generator=generator) - 1).to(joined)
        gradients = torch.autograd.grad(joined, outputs, v.expand_as(joined) * signs, retain_graph=True)
        own = [block.part_of(signs) for block in blocks]
        return [(gradient * _aligned(signs, gradient)).mean(0) for signs, gradient in zip(own, gradients, strict=True)]


def _directions(joined: Tensor, exact: bool, count: int, generator: torch.Generator) -> list[Tensor]:
    """Unit vectors of the output space, or random vectors. All tokens share them."""
    width = joined.shape[-1]
    if exact:
        return list(torch.eye(width).to(joined))
    return [torch.randn(width, generator=generator).to(joined) for _ in range(count)]


def _aligned(signs: Tensor, gradient: Tensor) -> Tensor:
    return signs.reshape(*signs.shape[:-1], *[1] * (gradient.dim() - signs.dim() + 1))


def _mixes(module: nn.Module) -> bool:
    return isinstance(module, _MIXING)


def _comparable(block: Block, joined: Tensor) -> bool:
    """Whether B_l and J_l can be compared. If there is an output per token, the block must have the same tokens."""
    tokens = block.part_shape(tuple(joined.shape[1:]))[:-1]
    return not tokens or (block.channel_axis >= len(tokens) and block.shape[: len(tokens)] == tokens)


def _term(feedback: Tensor, first: Tensor, last: Tensor) -> Term:
    b, g, h = (tensor.flatten().double() for tensor in (feedback, first, last))
    return Term(torch.dot(b, g + h).item() / 2, torch.dot(b, b).item(), torch.dot(g, h).item())


def _cosine(terms: list[Term]) -> float:
    product = sum(term.product for term in terms)
    size = sum(term.feedback for term in terms) * sum(term.jacobian for term in terms)
    return product / math.sqrt(size) if size > 0 else math.nan

"""Weight mirrors: the feedback learns the weights from their response to noise (Akrout et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.rules.backward import BackwardFeedback, same_view

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch


class WM(BackwardFeedback):
    """FA whose B mirrors W. Before every `every`-th training batch, each linear map gets noise x as its input.

    B moves by `rate` toward the mean of (W x) x^T, where W x is the map's output without its bias. For x ~ N(0, I) the
    expectation of this mean is W. The update uses only the input and the output of the map itself.
    """

    # Example: W (10, 256), a batch of 64: x (64, 256) ~ N(0, I), y = x W^T (64, 10).
    #   mean of y x^T = y^T x / 64 (10, 256) = W + noise;  B <- 0.9 B + 0.1 (W + noise) with rate = 0.1

    def __init__(self, rate: float = 0.1, every: int = 1) -> None:
        if not 0 < rate <= 1 or every < 1:
            raise ValueError("rate must be in (0, 1], and every must be at least 1")
        self.rate, self.every = rate, every
        self._forwards = 0

    @property
    def period(self) -> int:
        """The steps from one mirror phase to the next."""
        return self.every

    def setup(self, network: Network) -> None:
        """Draw B like FA."""
        super().setup(network)
        self._forwards = 0

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return FA's pass. Every `every`-th training forward runs a mirror phase first."""
        if network.model.training:
            if self._forwards % self.every == 0:
                self.mirror(network, batch)
            self._forwards += 1
        return super().open_pass(network, batch)

    def mirror(self, network: Network, batch: Batch) -> None:
        """Feed noise to every linear map, shaped like the inputs that it gets in a forward on `batch`."""
        mirrors = MirrorPass(partial(self.feedback_of, network), network.generator("perturbation", network.device))
        with preserved(network.model):
            network.run(mirrors, batch)
        for feedback, total, count in mirrors.sums.values():
            mean = torch.where(count > 0, total / count, feedback)
            feedback.lerp_(mean.to(feedback.dtype), self.rate)


FeedbackOf = Callable[[Tensor], tuple[Tensor, Tensor] | None]
"""The weight in a linear map -> (the parameter that it is or views, its feedback), or None without feedback."""


class MirrorPass(Pass):
    """A forward without a graph, in which each linear map with feedback also runs on noise."""

    def __init__(self, feedback_of: FeedbackOf, generator: torch.Generator) -> None:
        self.mode = _Mirror(feedback_of, generator)
        self.sums = self.mode.sums

    @contextmanager
    def around(self) -> Iterator[None]:
        """Disable the graph and compiled code, and intercept the linear maps."""
        with torch.no_grad(), torch.compiler.set_stance("force_eager"), self.mode:
            yield


class _Mirror(OperatorMode):
    """`sums` maps the id of a feedback to: the feedback, the sum of (W x) x^T, and the number of terms per entry."""

    def __init__(self, feedback_of: FeedbackOf, generator: torch.Generator) -> None:
        super().__init__()
        self.feedback_of, self.generator = feedback_of, generator
        self.sums: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def linear_map(self, call: LinearMap) -> Tensor:
        """Return the map's own result, and add its response to noise to `sums`."""
        known = self.feedback_of(call.weight)
        if known is not None:
            weight, feedback = known
            like = call.input
            noise = torch.randn(like.shape, generator=self.generator, device=like.device, dtype=like.dtype)
            # At the border of a convolution, some weights get no input, so entries have different numbers of terms.
            once, samples = torch.ones_like(like[:1]), len(like)
            total, count = _products(call, weight, noise), samples * _products(call, weight, once, torch.ones_like)
            if id(feedback) in self.sums:
                _, total_before, count_before = self.sums[id(feedback)]
                total, count = total + total_before, count + count_before
            self.sums[id(feedback)] = feedback, total, count
        return call.apply(call.input, call.weight, call.bias)


def _products(
    call: LinearMap, weight: Tensor, x: Tensor, answer: Callable[[Tensor], Tensor] = torch.Tensor.detach
) -> Tensor:
    """Return the sum of y x^T over samples and positions, shaped like `weight`. y is `answer(W x)`."""
    with torch.enable_grad():
        leaf = weight.detach().requires_grad_()
        view = leaf if call.weight is weight else same_view(leaf, call.weight, weight)
        output = call.apply(x, view, None)
        (products,) = torch.autograd.grad(output, leaf, answer(output))
    return products

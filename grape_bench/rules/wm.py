"""Weight mirrors: the feedback learns the weights from their response to noise (Akrout et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grape_bench.network import recurrent
from grape_bench.network.operators import LinearMap
from grape_bench.network.passes import Pass
from grape_bench.network.weights import Replay, WeightMode
from grape_bench.rules.backward import BackwardFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch


class WM(BackwardFeedback):
    """FA whose B mirrors W. Before every `every`-th training batch, each linear map runs on noise x.

    B moves by `rate` toward the mean of (W x) x^T, where W x is the map's output without its bias. For x ~ N(0, I) the
    expectation of this mean is W. The update uses only the input and the output of the map itself.
    """

    # Example: W (10, 256), a batch of 64: x (64, 256) ~ N(0, I), y = x W^T (64, 10).
    #   mean of y x^T = y^T x / 64 (10, 256) = W + noise;  B <- 0.9 B + 0.1 (W + noise) with rate = 0.1

    def __init__(self, rate: float = 0.1, every: int = 1, allow_transport: bool = False) -> None:
        super().__init__(allow_transport)
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
        self._counts: Counts = {}

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return FA's pass. Every `every`-th training forward runs a mirror phase first."""
        if network.advances:
            if self._forwards % self.every == 0:
                self.mirror(network, batch)
            self._forwards += 1
        return super().open_pass(network, batch)

    def mirror(self, network: Network, batch: Batch) -> None:
        """Run every linear map on noise, shaped like the inputs that it gets in a forward on `batch`."""
        generator = network.generator("perturbation", network.device)
        of_derived = partial(self.feedback_of_derived, network)
        mirrors = MirrorPass(self.feedback_of(network), of_derived, generator, self._counts)
        network.aside(mirrors, batch)
        for feedback, total, count in mirrors.sums.values():
            mean = torch.where(count > 0, total / count, feedback)
            feedback.lerp_(mean.to(feedback.dtype), self.rate)


class MirrorPass(Pass):
    """A forward without a graph, in which each linear map with feedback also runs on noise.

    `feedback` maps the `id` of a parameter to its feedback. `of_derived` returns the feedback of the next derived
    weight. `counts` caches numbers of terms across passes.
    """

    intercepts = True

    def __init__(
        self,
        feedback: dict[int, Tensor],
        of_derived: Callable[[], Tensor | None],
        generator: torch.Generator,
        counts: Counts,
    ) -> None:
        self.mode = _Mirror(feedback, of_derived, generator, counts)
        self.sums = self.mode.sums

    @contextmanager
    def around(self) -> Iterator[None]:
        """Disable the graph and compiled code, and intercept the linear maps."""
        with torch.no_grad(), torch.compiler.set_stance("force_eager"), self.mode:
            yield


Known = tuple[Tensor, Replay, Tensor]
"""A weight, how the operator's argument was made from it, and its feedback."""


Counts = dict[tuple[Any, ...], Tensor]
"""A layer's settings, shapes and device -> the number of terms per entry of its weight, the same for all channels."""


class _Mirror(WeightMode):
    """`sums` maps the id of a feedback to: the feedback, the sum of (W x) x^T, and the number of terms per entry."""

    def __init__(
        self,
        feedback: dict[int, Tensor],
        of_derived: Callable[[], Tensor | None],
        generator: torch.Generator,
        counts: Counts,
    ) -> None:
        super().__init__(feedback)
        self.feedback, self.of_derived, self.generator, self.counts = feedback, of_derived, generator, counts
        self.sums: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._recurrent: dict[int, Known] = {}

    def known(self, weight: Tensor) -> Known | None:
        """The parameter or derived weight, with its feedback."""
        if id(weight) in self._recurrent:
            return self._recurrent[id(weight)]
        if source := self.copies.source(weight):
            return *source, self.feedback[id(source[0])]
        feedback = self.of_derived()
        return None if feedback is None else (weight, _itself, feedback)

    def weighted(self, call: LinearMap, known: Known) -> Tensor:
        """Return the map's own result, and add its response to noise to `sums`."""
        feedback, inputs = known[-1], (call.input, *call.others)
        noise = [torch.randn(x.shape, generator=self.generator, device=x.device, dtype=x.dtype) for x in inputs]
        total, count = _products(call, known, noise), self._count(call, known)
        if id(feedback) in self.sums:
            _, total_before, count_before = self.sums[id(feedback)]
            total, count = total + total_before, count + count_before
        self.sums[id(feedback)] = feedback, total, count
        return call.apply(call.input, call.weight, call.bias)

    def _count(self, call: LinearMap, known: Known) -> Tensor:
        """The number of terms per entry, shaped like the weight or (1, 1, *kernel).

        At the border of a convolution, some weights get no input, so entries have different numbers of terms.
        """
        weight, inputs = call.weight, (call.input, *call.others)
        key = call.settings, call.input.shape, weight.shape, weight.dtype, weight.device
        plain = call.settings and weight is known[0]
        if plain and key in self.counts:
            return self.counts[key]
        count = _products(call, known, [torch.ones_like(x) for x in inputs], torch.ones_like)
        if plain:
            count = self.counts[key] = count[:1, :1].clone()
        return count

    def recurrent(self, func: Any, args: tuple[Any, ...]) -> Any:
        """Write out the layer, so that each of its weights is used in a linear map."""
        weights = recurrent.matrices(func.__name__, args)
        self._recurrent = {id(weight): found for weight in weights if (found := self.known(weight)) is not None}
        try:
            with self:
                return recurrent.written_out(func.__name__, args)
        finally:
            self._recurrent = {}


def _products(
    call: LinearMap, known: Known, inputs: list[Tensor], answer: Callable[[Tensor], Tensor] = torch.Tensor.detach
) -> Tensor:
    """Return the sum of y x^T over samples and positions, shaped like the weight. y is `answer(W x)`."""
    weight, replay, _ = known
    with torch.enable_grad():
        leaf = weight.detach().requires_grad_()
        output = call.apply(inputs[0], replay(leaf), None, *inputs[1:])
        (products,) = torch.autograd.grad(output, leaf, answer(output))
    return products


def _itself(weight: Tensor) -> Tensor:
    return weight

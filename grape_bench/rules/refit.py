"""Feedback re-fitted to exact gradients on one mini-batch an epoch: `grape+refit`, an extension of this project."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass, Signal
from grape_bench.network.preserve import preserved
from grape_bench.rules.feedback import FEEDBACK
from grape_bench.rules.grape import GrAPE, normalized
from grape_bench.rules.layout import Layout

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch

RIDGE = 1e-3  # of the mean square of an error's number


class GrAPERefit(GrAPE):
    """GrAPE that on one random mini-batch of each epoch fits B_l to exact gradients by least squares.

    That batch goes forward a second time, aside, and backpropagation of the error takes it to every block's output;
    no weight takes a step along it, only one of direct feedback with the new B_l. The trainer says where an epoch
    begins (`network.begin_epoch`); raises RuntimeError where it did not.
    """

    weight_transport: ClassVar[bool] = True  # on the batch of the fit
    _before_fit: int | None = None  # training steps

    def bp_fraction(self, batches: int, epochs: int) -> float:
        """One batch an epoch."""
        return 1 / batches

    def begin_epoch(self, network: Network, batches: int) -> None:
        """Choose the batch."""
        super().begin_epoch(network, batches)
        self._before_fit = int(torch.randint(batches, (), generator=network.generator("anchor")))

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """As GrAPE; on the chosen batch the feedback is fitted when the error arrives."""
        pass_ = super().open_pass(network, batch)
        if not network.model.training:
            return pass_
        if self._before_fit is None:
            raise RuntimeError("grape+refit needs net.begin_epoch(batches=len(loader)) at the start of each epoch")
        due = self._before_fit == 0
        self._before_fit -= 1
        if not due:
            return pass_
        probe = ProbePass()
        with preserved(network.model):
            network.run(probe, batch)
        return RefitPass(self._sent, lambda error: self.refit(network, probe.signals(error), error))

    @torch.no_grad()
    def refit(self, network: Network, signals: dict[str, Tensor], error: Tensor) -> None:
        """Fit every B_l to the true `signals` dL/dh_l of the samples, given their `error`."""
        for block in network.blocks:
            if block.name in signals:
                feedback, layout = block.load(FEEDBACK), self._maps[block.name].layout
                errors, wanted = layout.rows(error).to(feedback.dtype), gathered(layout, signals[block.name])
                if not wanted.any():  # nothing to fit: a head that starts at zero
                    continue
                fitted = least_squares(feedback, errors, wanted.to(feedback.dtype))
                feedback.copy_(self._agreed(fitted if self.update == "nlms" else normalized(fitted, self._axis)))


class ProbePass(Pass):
    """A forward with the model's own graph, kept until the error is known."""

    def __init__(self) -> None:
        self.outputs: dict[str, Tensor] = {}

    def around(self) -> AbstractContextManager[object]:
        """Autograd does not mind that BatchNorm's statistics, which it saves but does not read, are put back."""
        return saved_tensors_hooks(lambda saved: saved, lambda saved: saved)

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """The output itself, noted."""
        if output.requires_grad:
            self.outputs[block.name] = output
        return output

    def join(self, logits: Tensor) -> Tensor:
        """A constant: this forward has no loss of its own."""
        self.logits = logits
        return logits.detach()

    def signals(self, error: Tensor) -> dict[str, Tensor]:
        """J_l^T e of every block, by backpropagation; the graph is used up."""
        outputs, self.outputs = self.outputs, {}
        found = torch.autograd.grad(self.logits, list(outputs.values()), error.to(self.logits.dtype))
        del self.logits
        return dict(zip(outputs, found, strict=True))


class RefitPass(CutPass):
    """A cut pass that has the feedback fitted to the error before the first signal."""

    def __init__(self, signal: Signal, fit: Callable[[Tensor], None]) -> None:
        super().__init__(self._after_fit)
        self._then, self._fit = signal, fit
        self._fitted = False

    def receive(self, error: Tensor) -> None:
        """The feedback is fitted."""
        super().receive(error)
        self._fit_once(error)

    def _after_fit(self, block: Block, error: Tensor) -> Tensor:
        self._fit_once(error)  # block by block the error comes with the signal
        return self._then(block, error)

    def _fit_once(self, error: Tensor) -> None:
        if not self._fitted:
            self._fit(error)
            self._fitted = True


def gathered(layout: Layout, signal: Tensor) -> Tensor:
    """The rows (R, features) that `layout.spread` makes most of `signal` of: its transpose, by autograd."""
    with torch.enable_grad():
        rows = signal.new_zeros(layout.row_count(signal.shape), layout.features, requires_grad=True)
        (found,) = torch.autograd.grad(layout.spread(rows, signal.shape), rows, signal)
    return found


def least_squares(feedback: Tensor, errors: Tensor, signals: Tensor) -> Tensor:
    """The B that minimises ||errors B - signals||^2, near `feedback` where the errors tell nothing.

    `feedback` is first brought to the scale of `signals`; a ridge keeps B near it.
    """
    start = feedback * (signals.norm() / (errors @ feedback).norm().clamp_min(torch.finfo(feedback.dtype).tiny))
    gram = errors.T @ errors
    ridge = RIDGE * gram.diagonal().mean()
    gram.diagonal().add_(ridge)
    missing = errors.T @ (signals - errors @ start)
    solved: Tensor = torch.linalg.solve(gram, missing)
    return start + solved

"""`grape+refit`: fit the feedback to exact gradients on one mini-batch per epoch. An extension of this project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass, Signal
from grape_bench.rules.feedback import FEEDBACK, all_finite
from grape_bench.rules.grape import GrAPE, normalized
from grape_bench.rules.layout import Layout

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch

RIDGE = 1e-3  # relative to the mean square of the errors


class GrAPERefit(GrAPE):
    """GrAPE that fits B_l to exact gradients by least squares, on one random mini-batch per epoch.

    On that batch, an extra forward and backpropagation of its error give the exact dL/dh_l at every block's output.
    They are used only to fit the feedback. The weights take their usual direct-feedback step, with the new B_l. The
    training loop must call `network.begin_epoch`, or the forward raises RuntimeError.
    """

    # Example: block of 256 units, 10 outputs, a batch of 64: errors e (64, 10), exact signals s = dL/dh (64, 256).
    #   B (10, 256) minimizes ||e B - s||^2 + ridge ||B - B0||^2, one linear system with the matrix e^T e (10, 10).
    #   B0 is the feedback before the fit, scaled so that ||e B0|| = ||s||.

    weight_transport: ClassVar[bool] = True  # on the batch of the fit
    _before_fit: int | None = None  # training steps before the batch of the fit

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """One batch per epoch."""
        return 1 / batches

    def begin_epoch(self, network: Network, batches: int) -> None:
        """Draw the batch of the fit."""
        super().begin_epoch(network, batches)
        self._before_fit = int(torch.randint(batches, (), generator=network.generator("anchor")))

    @property
    def unreplayable(self) -> str:
        """The reason: the pass of the fit holds data of its batch."""
        return "its fit of the feedback holds data of one batch"

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return GrAPE's pass. On the drawn batch, return a pass that fits the feedback when the error arrives."""
        pass_ = super().open_pass(network, batch)
        if not network.advances:
            return pass_
        if self._before_fit is None:
            raise RuntimeError("grape+refit needs net.begin_epoch(batches=len(loader)) at the start of each epoch")
        due = self._before_fit == 0
        self._before_fit -= 1
        if not due:
            return pass_
        probe = ProbePass()
        network.aside(probe, batch)
        return RefitPass(self._sent, lambda error: self.refit(network, probe.signals(error), error))

    @torch.no_grad()
    def refit(self, network: Network, signals: Signals, error: Tensor) -> None:
        """Fit every B_l to the exact `signals` dL/dh_l, given the samples' `error`."""
        for block in network.blocks:
            if block.name in signals:
                feedback, layout = block.load(FEEDBACK), self._maps[block.name].layout
                errors = torch.cat([layout.rows(call.part_of(error)) for call, _ in signals[block.name]])
                wanted = torch.cat([gathered(layout, signal) for _, signal in signals[block.name]])
                fitted = least_squares(feedback, errors.to(feedback.dtype), wanted.to(feedback.dtype))
                fitted = normalized(fitted, self._axis) if self.update == "cosine" else fitted
                # If all signals are zero (a head initialized to zero), B stays. An `if` would synchronize with the GPU.
                feedback.copy_(torch.where(wanted.any() & all_finite(fitted), fitted, feedback))
        self._agree([block.load(FEEDBACK) for block in network.blocks if block.name in signals])


Signals = dict[str, list[tuple[Block, Tensor]]]
"""Block name -> the signal (N, *shape) at each of its calls."""


class ProbePass(Pass):
    """A forward that keeps the model's own graph until the error is known."""

    def __init__(self) -> None:
        self.outputs: list[tuple[Block, Tensor]] = []

    def around(self) -> AbstractContextManager[object]:
        """Turn off autograd's version check: BatchNorm's saved statistics are restored before the backward."""
        # Detached, because a node that holds its own output is never freed.
        return saved_tensors_hooks(torch.Tensor.detach, lambda saved: saved)

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Remember what the model sees, as a view, because a loop may also pass the activation to the next step."""
        if not output.requires_grad:
            return output
        seen = output.view_as(output)
        self.outputs.append((block, seen))
        return seen

    def join(self, logits: Tensor) -> Tensor:
        """Return the logits as a constant, because this forward has no loss."""
        self.logits = logits
        return logits.detach()

    def signals(self, error: Tensor) -> Signals:
        """Return J_l^T e of every block by backpropagation, and free the graph."""
        outputs, self.outputs = self.outputs, []
        found = torch.autograd.grad(self.logits, [output for _, output in outputs], error.to(self.logits.dtype))
        del self.logits
        signals: Signals = defaultdict(list)
        for (block, _), signal in zip(outputs, found, strict=True):
            signals[block.name].append((block, signal))
        return signals


class RefitPass(CutPass):
    """A cut pass that fits the feedback before the first signal."""

    def __init__(self, signal: Signal, fit: Callable[[Tensor], None]) -> None:
        super().__init__(self._after_fit)
        self._then, self._fit = signal, fit
        self._fitted = False

    def receive(self, error: Tensor) -> None:
        """Fit the feedback to the error."""
        super().receive(error)
        self._fit_once(error)

    def _after_fit(self, block: Block, error: Tensor) -> Tensor:
        self._fit_once(error)  # a lean step never calls `receive`, so fit at the first signal
        return self._then(block, error)

    def _fit_once(self, error: Tensor) -> None:
        if not self._fitted:
            self._fit(error)
            self._fitted = True


def gathered(layout: Layout, signal: Tensor) -> Tensor:
    """Apply the transpose of `layout.spread` to `signal`, by autograd. Returns rows (R, features)."""
    with torch.enable_grad():
        rows = signal.new_zeros(layout.row_count(signal.shape), layout.features, requires_grad=True)
        (found,) = torch.autograd.grad(layout.spread(rows, signal.shape), rows, signal)
    return found


def least_squares(feedback: Tensor, errors: Tensor, signals: Tensor) -> Tensor:
    """Return the B that minimizes ||errors B - signals||^2. `errors` is (R, n_out), `signals` is (R, features).

    `feedback` is first scaled to match `signals`. A ridge keeps B close to it in directions that the errors do not
    cover.
    """
    size: Tensor = (errors @ feedback).norm().clamp_min(torch.finfo(feedback.dtype).tiny)
    start = feedback * (signals.norm() / size)
    gram = errors.T @ errors
    ridge = RIDGE * gram.diagonal().mean()
    gram.diagonal().add_(ridge)
    missing = errors.T @ (signals - errors @ start)
    # The ridge keeps the system regular, so `solve_ex` can skip the check of `linalg.solve`, which synchronizes.
    fitted: Tensor = start + torch.linalg.solve_ex(gram, missing)[0]
    return fitted

"""Direct feedback to each time step of recurrent layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Pass, Signal
from grape_bench.network.steps import Carry, Units, cell_of, units_of, unrolled
from grape_bench.rules.allocate import per_step
from grape_bench.rules.direct import DirectFeedback

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch


class StepFeedback(DirectFeedback):
    """Base class. `errors` computes an error for each step, and step t of block l gets B_l^T e_t.

    B_l (n_out x width) is random and the same at all steps. Within a block, gradients pass from step to step as `carry`
    allows. Every block must have exactly one recurrent layer, made of units in `kinds`.
    """

    carry: ClassVar[Carry]
    kinds: ClassVar[dict[Units, str]]
    """The kinds of unit that the rule is defined for, with their names for messages."""

    def __init__(self) -> None:
        """B_l has only one possible layout, so it is not a setting."""

    def errors(self, block: Block, error: Tensor) -> Tensor:
        """The error at each step (N, steps, n_out), from dL/dy_hat (N, ..., n_out)."""
        raise NotImplementedError

    @override
    def setup(self, network: Network) -> None:
        """Draw B_l for every block. Raises DoesNotApplyError if a block lacks the units that the rule needs."""
        self._cells = [self._cell(block) for block in network.blocks]
        self._maps = self.hardware.install(network, per_step(network))
        self._projected: set[str] = set()

    @override
    def project(self, error: Tensor, block: Block) -> Tensor:
        """B_l^T e_t at each step, shaped like `block.output`."""
        return super().project(self.errors(block, error), block)

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass that cuts at every block and between the steps."""
        return StepPass(self._sent, self._cells, self.carry)

    def _cell(self, block: Block) -> nn.Module:
        cell = cell_of(block)
        if cell is None:
            raise DoesNotApplyError(
                f"block {block.name!r} is not one recurrent layer with an output per step",
                hint='a network of one such layer needs blocks=["layers.*"], or ["hidden.*"] for snn',
            )
        if units_of(cell) not in self.kinds:
            allowed = ", ".join(self.kinds.values())
            raise DoesNotApplyError(f"the rule is defined for {allowed}, and block {block.name!r} has other units")
        return cell


class StepPass(CutPass):
    """A cut pass in which the recurrent `cells` send gradients between steps only as `carry` allows.

    The forward is the model's own. A cell's outputs are computed a second time with fewer gradients, and the signal
    runs through that graph.
    """

    independent = False  # a lean step runs the signals in another pass, without the changes of this one

    def __init__(self, signal: Signal, cells: list[nn.Module], carry: Carry) -> None:
        super().__init__(signal)
        self.cells, self.carry = cells, carry

    @override
    def around(self) -> AbstractContextManager[object]:
        """Hook the cells for this forward."""
        return self._hooked()

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        # A cell may itself be the block, so its graph is exchanged before the block's own hook cuts it.
        handles = [cell.register_forward_hook(self._exchanged, prepend=True) for cell in self.cells]
        try:
            with super().around():
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _exchanged(self, cell: nn.Module, args: tuple[Any, ...], returned: Any) -> Any:
        outputs = returned[0] if isinstance(returned, tuple) else returned
        exchanged = _Exchange.apply(outputs.detach(), unrolled(cell, args[0], self.carry))
        return (exchanged, *returned[1:]) if isinstance(returned, tuple) else exchanged


class _Exchange(torch.autograd.Function):
    """(values, the same values with another graph) -> the values. Backward: the gradient goes to the other graph."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, graph: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient

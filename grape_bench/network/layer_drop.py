"""Models that skip layers at random in training: stochastic depth, LayerDrop."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.network.graph import Node, reach
from grape_bench.network.modes import evaluation
from grape_bench.network.preserve import Batch, run_aside


@contextmanager
def all_layers_present(model: nn.Module, batch: Batch) -> Iterator[None]:
    """Switch to the mode for finding blocks: evaluation mode if a forward in training mode skips layers.

    A layer counts as skipped if it has weights and a forward in evaluation mode calls it. So the blocks that are found
    do not depend on one random draw.
    """
    with evaluation(model) if _leaves_out(model, batch) else nullcontext():
        yield


def _leaves_out(model: nn.Module, batch: Batch) -> bool:
    weighty = {module for module in model.modules() if next(module.parameters(recurse=False), None) is not None}
    if not model.training or not weighty - (trained := _called(model, batch)):
        return False
    with evaluation(model):
        return bool(weighty & (_called(model, batch) - trained))


def _called(model: nn.Module, batch: Batch) -> set[nn.Module]:
    """The modules that a forward calls."""
    called: set[nn.Module] = set()
    handles = [
        module.register_forward_pre_hook(lambda module, *_: called.add(module), with_kwargs=True)
        for module in model.modules()
    ]
    try:
        run_aside(model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return called


def stop_detour(logits: Tensor, hidden: Collection[Tensor]) -> bool:
    """Stop gradients of `logits` from reaching the parameters in `hidden`. Returns whether there were any.

    `hidden` are the parameters that only the cuts reach when all layers are present. If a pass skips a cut layer, the
    part of the network below it joins the part above, which has exact gradients.
    """
    # Example: first -> layers.0 -> layers.1 -> head, cut after both layers. A pass that skips both layers runs
    #   first -> head without a cut, so `first` would get backpropagation's gradient. This function stops it.
    #   A pass that skips only layers.1 is still cut after layers.0, so there is nothing to stop.
    ids = {id(parameter) for parameter in hidden}
    found = False
    for node in reach([logits.grad_fn] if logits.grad_fn is not None else []):
        edges = [index for index, (below, _) in enumerate(node.next_functions) if _leaf(below) in ids]
        if edges:
            node.register_hook(_Without(edges))
            found = True
    return found


def _leaf(node: Node | None) -> int | None:
    return id(node.variable) if node is not None and hasattr(node, "variable") else None


class _Without:
    """A hook that zeroes the gradients that a node sends along some of its edges."""

    def __init__(self, edges: list[int]) -> None:
        self.edges = edges

    def __call__(self, to_inputs: tuple[Any, ...], _: Any) -> tuple[Any, ...]:
        """The replacement of the node's gradients `to_inputs`."""
        with torch.no_grad():
            return tuple(
                torch.zeros_like(gradient) if index in self.edges and gradient is not None else gradient
                for index, gradient in enumerate(to_inputs)
            )

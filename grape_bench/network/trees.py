"""Tensors in the arguments and outputs of modules: nested tuples, lists, dicts, ModelOutputs and graphs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor


def tensors(tree: Any) -> Iterator[Tensor]:
    """Every tensor of `tree`, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from tensors(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from tensors(item)
    elif _is_graph(tree):
        yield from tensors(tree.to_dict())


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """`tree` with every tensor replaced by `function` of it. Other leaves and container types stay the same."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(function, item) for item in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_tensors(function, item) for item in tree)
    if isinstance(tree, dict):
        mapped = copy.copy(tree)  # a ModelOutput keeps its class, fields and attribute access
        for key, item in tree.items():
            mapped[key] = map_tensors(function, item)
        return mapped
    return copy.copy(tree).apply(function) if _is_graph(tree) else tree


def _is_graph(tree: Any) -> bool:
    """Whether `tree` is a PyTorch Geometric `Data` or `Batch`. Checks for methods, because the package is optional."""
    return hasattr(tree, "edge_index") and hasattr(tree, "to_dict") and hasattr(tree, "apply")


def activations(tree: Any) -> Iterator[Tensor]:
    """The floating-point tensors of `tree`, in order."""
    return (tensor for tensor in tensors(tree) if tensor.is_floating_point())


def first_activation(tree: Any) -> Tensor | None:
    """The first floating-point tensor of `tree`, which counts as the module's output."""
    return next(activations(tree), None)


def replace(tree: Any, old: Tensor, new: Tensor) -> Any:
    """`tree` with every occurrence of `old` replaced. Some networks return one tensor twice."""
    if new is old:
        return tree
    return map_tensors(lambda tensor: new if tensor is old else tensor, tree)

"""Models: one file per source, unmodified networks with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grape_bench.errors import UserError
from grape_bench.models.arguments import check_arguments
from grape_bench.models.names import MODELS, SOURCES, check_name, split_source
from grape_bench.registry import is_file_reference

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build"]


def build(model_id: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any]) -> nn.Module:
    """Build the network called `model_id`, in train mode on the CPU.

    `shape` is that of one sample, (C, H, W) or (features,). `classes` is the number of outputs. Weights come from
    the global torch generator. Raises UserError for an unknown name or argument.
    """
    from torch import nn  # checking names imports this package, and must not import torch

    check_name(model_id)
    source, name = ("", model_id) if is_file_reference(model_id) else split_source(model_id)
    if source:
        return SOURCES.get(source)(name, shape=shape, classes=classes, args=args)
    factory = MODELS.get(name)
    check_arguments(model_id, factory, args)
    model = factory(shape=shape, classes=classes, **args)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"the factory returned {type(model).__name__}, not a torch.nn.Module",
            where=model_id,
            hint="def factory(shape, classes): return torch.nn.Sequential(...)",
        )
    return model

"""Where models come from: one file per source, unmodified networks with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build"]


def build(model_id: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any]) -> nn.Module:
    """The network called `model_id`, in train mode on the CPU.

    `shape` is one sample's, (C, H, W) or (features,); `classes` the number of outputs. Weights are drawn
    from the global torch generator. Raises UserError for an unknown name or argument.
    """
    from grape_bench.models.factory import build as build_model

    return build_model(model_id, shape=shape, classes=classes, args=args)

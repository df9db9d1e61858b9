"""From a model id to a network."""

from __future__ import annotations

from typing import Any

from torch import nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import check_arguments
from grape_bench.models.names import MODELS, SOURCES, check_name, split_source
from grape_bench.registry import is_file_reference


def build(model_id: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any]) -> nn.Module:
    """See `grape_bench.models.build`."""
    check_name(model_id)
    source, name = ("", model_id) if is_file_reference(model_id) else split_source(model_id)
    if source:
        return SOURCES.get(source)(name, shape=shape, classes=classes, args=args)
    factory = MODELS.get(name)
    check_arguments(model_id, factory, args)
    model = factory(shape=shape, classes=classes, **args)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"returned {type(model).__name__}, not a torch.nn.Module",
            where=model_id,
            hint="def factory(shape, classes): return torch.nn.Sequential(...)",
        )
    return model

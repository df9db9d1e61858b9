"""Models: one file per source. The networks are unmodified and have random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grape_bench.errors import UserError
from grape_bench.models.arguments import check_arguments, takes_inputs
from grape_bench.models.names import MODELS, SOURCES, check_name, split_source
from grape_bench.registry import is_file_reference

if TYPE_CHECKING:
    from torch import nn

    from grape_bench.models.inputs import ModelData

__all__ = ["build"]


def build(
    model_id: str, *, shape: tuple[int, ...], classes: int, args: dict[str, Any], data: ModelData | None = None
) -> nn.Module:
    """Build the network called `model_id`, in train mode on the CPU.

    `shape` is the shape of one sample, (C, H, W) or (features,). `classes` is the number of outputs. `data` is the data
    set that the model reads. Without it, each sample is an array of numbers with one class. Weights come from the
    global torch generator. Raises UserError for an unknown name or argument.
    """
    from torch import nn  # checking names imports this package, and must not import torch

    from grape_bench.models.inputs import Inputs

    check_name(model_id)
    source, name = ("", model_id) if is_file_reference(model_id) else split_source(model_id)
    factory = SOURCES.get(source) if source else MODELS.get(name)
    if not source:
        check_arguments(model_id, factory, args)
    given: dict[str, Any] = {"shape": shape, "classes": classes}
    if takes_inputs(factory):
        given["inputs"] = Inputs.of(data) if data is not None else Inputs.of_shape(shape)
    if source:
        return factory(name, **given, args=args)
    model = factory(**given, **args)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"the factory returned {type(model).__name__}, not a torch.nn.Module",
            where=model_id,
            hint="def factory(shape, classes): return torch.nn.Sequential(...)",
        )
    return model

"""The model ids. Checking them does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from grape_bench.errors import UserError, unknown
from grape_bench.registry import Builtin, Registry, is_file_reference, split_file_reference

if TYPE_CHECKING:
    from torch import nn

MODELS: Registry[Callable[..., nn.Module]] = Registry(
    "model",
    {
        "mlp": Builtin("grape_bench.models.mlp:MLP"),
        "cnn": Builtin("grape_bench.models.cnn:CNN"),
        "lenet": Builtin("grape_bench.models.lenet:LeNet"),
        "resnet": Builtin("grape_bench.models.cifar_resnet:resnet"),
        "resnet20": Builtin("grape_bench.models.cifar_resnet:resnet20"),
        "resnet56": Builtin("grape_bench.models.cifar_resnet:resnet56"),
        "vgg16": Builtin("grape_bench.models.vgg:VGG16"),
        "transformer": Builtin("grape_bench.models.transformer:Transformer"),
        "lstm": Builtin("grape_bench.models.lstm:lstm"),
        "gru": Builtin("grape_bench.models.gru:gru"),
        "rnn": Builtin("grape_bench.models.rnn:rnn"),
        "gcn": Builtin("grape_bench.models.gcn:gcn"),
        "gat": Builtin("grape_bench.models.gat:gat"),
        "siren": Builtin("grape_bench.models.siren:siren"),
        "coordinate-mlp": Builtin("grape_bench.models.coordinate_mlp:coordinate_mlp"),
        "tower": Builtin("grape_bench.models.tower:Tower"),
        "snn": Builtin("grape_bench.models.snn:SpikingNetwork"),
        "layered-energy": Builtin("grape_bench.models.layered_energy:LayeredEnergy"),
    },
    group="grape_bench.models",
)
"""Networks with a short name, called as `factory(shape=..., classes=..., **args)`.

A factory with a parameter `inputs` also gets the inputs from the data set (see inputs.py).

Raise `numerics` of each model whose numbers change (a width, an initialization). Exactly its jobs then run again.
"""

SOURCES: Registry[Callable[..., nn.Module]] = Registry(
    "model source",
    {
        "timm": Builtin("grape_bench.models.timm:build"),
        "hf": Builtin("grape_bench.models.hugging_face:build"),
        "torchvision": Builtin("grape_bench.models.torchvision:build"),
    },
    group="grape_bench.model_sources",
)
"""Libraries of networks, written `source:name`: called as `build(name, shape=..., classes=..., args=...)`.

A source has one `numerics` for all its models. Raise it when our code changes the numbers, not when the library does.
"""


def split_source(model_id: str) -> tuple[str, str]:
    """Split `"timm:resnet18"` into `("timm", "resnet18")` and `"mlp"` into `("", "mlp")`."""
    source, colon, name = model_id.partition(":")
    return (source, name) if colon else ("", model_id)


def check_name(model_id: str) -> None:
    """Raise UserError if `model_id` cannot be the name of a model. Does not import torch.

    Names inside a library are checked when the model is built.
    """
    if is_file_reference(model_id):
        split_file_reference(model_id)
        return
    source, name = split_source(model_id)
    if not source:
        if name not in MODELS:
            raise unknown("model", name, MODELS, hint=f"timm:{name or 'resnet18'}")
        return
    if source not in SOURCES:
        raise unknown("model source", source, SOURCES, where=model_id)
    if not name:
        raise UserError("the name after the source is missing", where=repr(model_id), hint=EXAMPLES.get(source, ""))


EXAMPLES = {"timm": "timm:resnet18", "hf": "hf:vit", "torchvision": "torchvision:resnet18"}

"""A rule keeps its tensors on the model's device, so that it runs on a GPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from grape_bench.attachment import attach
from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule
from grape_bench.network.trace import as_batch
from grape_bench.network.trees import map_tensors

META = torch.device("meta")
"""A device whose tensors have shapes but no data. Like a GPU, it refuses operations with CPU tensors."""


STEPS = 4
"""The steps of an epoch, enough that a rule with anchors also has other steps."""


def check(case: Case, make_rule: MakeRule) -> str:
    """Attach the rule to a model on the meta device, take two steps, and check where its tensors are."""
    model = case.model().to(META)
    if not _runs(model, on_meta(case.inputs(0))):
        return "not checked: the model's own code reads numbers, which this device has none of"
    network = attach(model, make_rule(), on_meta(case.inputs(0)))
    network.planned_steps = 2
    network.begin_epoch(STEPS)
    for index in range(2):
        inputs = on_meta(case.inputs(index))
        network.step(inputs, partial(case.loss_of, index=index), on_meta(case.target(index)))
    for name, tensor in _tensors(network.model, dict(network.owned.named_parameters())).items():
        require(tensor.device == META, f"{name} is on {tensor.device}, and the model is on another device")
    return "every tensor is on the model's device"


def _runs(model: nn.Module, inputs: Any) -> bool:
    """Whether the model itself runs without data. Otherwise PyTorch raises RuntimeError."""
    args, kwargs = as_batch(inputs)
    try:
        model(*args, **kwargs)
    except RuntimeError:
        return False
    return True


def on_meta(tree: Any) -> Any:
    """The same inputs without data."""
    return map_tensors(lambda tensor: tensor.to(META), tree)


def _tensors(model: nn.Module, owned: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    parameters = {**dict(model.named_parameters()), **owned}
    gradients = {f"the gradient of {name}": p.grad for name, p in parameters.items() if p.grad is not None}
    return {**parameters, **dict(model.named_buffers()), **gradients}

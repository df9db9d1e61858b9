"""After `net.detach()` the model is as if the rule had never been attached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.attachment import attach
from grape_bench.contract.broken import require
from grape_bench.contract.cases import Case, MakeRule, steps_of
from grape_bench.network.block import PREFIX


def check(case: Case, make_rule: MakeRule) -> str:
    """Attach, run forward and backward, and detach. The model must equal one that never had a rule."""
    plain, model = case.model(), case.model()
    shape = _shape(model)
    network = attach(model, make_rule(), case.inputs(0))
    _compare(_tensors(model), _tensors(plain), "attaching")
    _compare_modes(model, plain, "attaching")
    steps = steps_of(make_rule())
    network.planned_steps = steps
    network.begin_epoch(steps)
    for index in range(steps):
        case.gradients(plain, index)
        case.gradients(model, index)
    _compare(_tensors(model), _tensors(plain), "a forward and backward")
    network.detach()
    _compare_modes(model, plain, "the rule")
    _compare(model.state_dict(), plain.state_dict(), "the rule")
    for (what, now), before in zip(_shape(model).items(), shape.values(), strict=True):
        require(now == before, f"after detach, {what} of the model have changed: {_differing(now, before)}")
    return "weights, buffers, hooks and modes as before"


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and the model's own buffers, without the rule's."""
    return {name: value for name, value in model.state_dict().items() if PREFIX not in name}


def _compare(found: dict[str, Tensor], expected: dict[str, Tensor], culprit: str) -> None:
    other = ", ".join(sorted(set(found) ^ set(expected)))
    require(not other, f"{culprit} changes the keys of state_dict: {other}")
    for name, value in found.items():
        require(torch.equal(value, expected[name]), f"{culprit} changes {name}")


def _compare_modes(model: nn.Module, expected: nn.Module, culprit: str) -> None:
    found, before = ({name: m.training for name, m in net.named_modules()} for net in (model, expected))
    require(found == before, f"{culprit} changes the training mode of {_differing(found, before)}")


def _shape(model: nn.Module) -> dict[str, dict[str, Any]]:
    """Everything about the model except the values of its tensors."""
    modules = dict(model.named_modules())
    return {
        "the modules": {name: id(module) for name, module in modules.items()},
        "the parameters": {name: (id(p), p.requires_grad) for name, p in model.named_parameters()},
        "the attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "the hooks": {f"{name}.{key}": len(value) for name, m in modules.items() for key, value in _hooks(m)}
        | {name: len(p._backward_hooks or ()) for name, p in model.named_parameters()},
    }


def _hooks(module: nn.Module) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in vars(module).items() if key.endswith("_hooks") and value is not None]


def _differing(found: dict[str, Any], expected: dict[str, Any]) -> str:
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    return ", ".join(name or "the model itself" for name in names)

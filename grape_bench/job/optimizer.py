"""The optimizer of a job, and its parameter groups."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from grape_bench.errors import UserError, unknown
from grape_bench.registry import Registry, is_file_reference

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
FROM_FILES: Registry[Any] = Registry("optimizer", {})
Groups = dict[str, dict[str, Any]]
"""A pattern of module or parameter names -> `lr_scale`, `weight_decay` or `frozen` for what it matches."""


def make_optimizer(groups: list[dict[str, Any]], settings: dict[str, Any]) -> torch.optim.Optimizer:
    """Make the optimizer `settings["name"]` for parameter groups, with the other settings as arguments.

    The name is a key of `OPTIMIZERS`, `torch:CLASS`, `timm:NAME` or `file.py:name`. `settings["args"]` holds further
    arguments. `settings["implementation"]` is "fused" or "foreach", which are arguments of many PyTorch optimizers. The
    settings of a group override these. Raises UserError for wrong settings.
    """
    arguments = {name: value for name, value in settings.items() if name not in ("name", "args", "implementation")}
    if implementation := settings.get("implementation"):
        arguments[implementation] = True
    name = settings.get("name", "adamw")
    make = _find(name)
    try:
        optimizer: torch.optim.Optimizer = make(groups, **arguments, **settings.get("args", {}))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"optimizer {name!r} does not accept its settings: {error}") from error
    for group in optimizer.param_groups:
        for setting in group.keys() - {"params", *optimizer.defaults}:
            raise unknown(f"setting of optimizer {name!r}", setting, optimizer.defaults, hint="block.own(module, ...)")
    return optimizer


def _find(name: str) -> Any:
    """The class or function that makes the optimizer `name` from groups and settings."""
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    if is_file_reference(name):
        return FROM_FILES.get(name)
    source, _, own = name.partition(":")
    if source == "torch":
        known = [key for key, value in vars(torch.optim).items() if isinstance(value, type) and key != "Optimizer"]
        if own not in known:
            raise unknown("optimizer of torch.optim", own, known)
        return getattr(torch.optim, own)
    if source == "timm":
        from timm.optim import get_optimizer_class, list_optimizers

        if own not in list_optimizers():
            raise unknown("optimizer of timm", own, list_optimizers())
        return get_optimizer_class(own)
    raise unknown("optimizer", name, OPTIMIZERS, hint="torch:NAME, timm:NAME or path/to/file.py:name")


def freeze(model: nn.Module, groups: Groups) -> None:
    """Freeze the parameters of the groups with `frozen = true`. Raises UserError if a pattern matches nothing."""
    names = [name for name, _ in model.named_parameters()]
    for pattern in groups:
        if not any(_matches(name, pattern) for name in names):
            raise UserError(f"no parameter matches {pattern!r}", where="groups", allowed=", ".join(names[:20]))
    for name, parameter in model.named_parameters():
        if _settings(name, groups).get("frozen"):
            parameter.requires_grad_(False)
    if groups and not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError("every parameter of the model is frozen", where="groups")


def model_groups(model: nn.Module, lr: float, decay: str, groups: Groups) -> list[dict[str, Any]]:
    """The model's trainable parameters as optimizer groups, one per combination of settings, in the model's order.

    With `decay` "weights", parameters with at most one axis (norms, biases, scales) have no weight decay.
    """
    found: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        given, own = _settings(name, groups), {}
        if "lr_scale" in given:
            own["lr"] = lr * given["lr_scale"]
        if decay == "weights" and parameter.ndim <= 1:
            own["weight_decay"] = 0.0
        elif "weight_decay" in given:
            own["weight_decay"] = given["weight_decay"]
        if parameter.requires_grad:
            found.setdefault(tuple(own.items()), []).append(parameter)
    return [{"params": parameters, **dict(own)} for own, parameters in found.items()]


def _settings(name: str, groups: Groups) -> dict[str, Any]:
    """The settings of the parameter `name`. If several patterns match it, the last one wins."""
    found = [settings for pattern, settings in groups.items() if _matches(name, pattern)]
    return found[-1] if found else {}


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")

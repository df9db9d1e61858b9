"""An entry of the zoo: a small version of a published network, its loss, and the expected behavior of rules on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.rules.names import CUTS, RULES

CUTTING = [rule for rule in RULES if (builtin := RULES.builtin(rule)) and CUTS[0] in builtin.uses]
"""The rules that cut a network into blocks."""

FEEDBACK_ALIGNMENT = ("fa", "usf", "brsf", "frsf", "kp", "wm")
"""The rules that replace the weights by other matrices in the backward pass."""


@dataclass(frozen=True)
class Entry:
    """A network with the layers, calls, output and loss of its source, at a small size.

    - `example`: a batch, as `attach` takes it. `loss`: the model's output -> a scalar.
    - `hidden`, `exact`: patterns of the weights that a direct rule trains, and of those that keep BP's gradient.
      Weights that match neither may be either.
    - `error`: the first axes of the error that a rule sees, (N, positions..., n_out). Blocks that are called once per
      time step may see the error of one step, so such entries give only N.
    - `mixed`: patterns of the hidden parameters that the output's gradient also reaches directly, so that no cut can
      separate them from it: they have their own output, or are tied to the head.
    - `options`: further arguments of `attach`.
    - `last`: the weights that keep BP's gradient under feedback alignment, if they are fewer than `exact`.
    - `refused`: rule -> the reason that `attach` must give (a regular expression). "cuts" stands for all rules that
      cut the network, and "fa" for all rules of feedback alignment.
    - `imports`: packages without which the entry is skipped. `family`: the rows of docs/coverage.md that it belongs to.
    - `values`: the targets are values, which no rule can see in a network with several outputs.
    - `surrogate`: backward replaces the derivative of a step function, so no finite difference is near it.
    """

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[], Any]
    loss: Callable[[Any], Tensor]
    hidden: tuple[str, ...]
    exact: tuple[str, ...]
    error: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    mixed: tuple[str, ...] = ()
    last: tuple[str, ...] | None = None
    imports: tuple[str, ...] = ()
    family: str = "examples"
    surrogate: bool = False
    values: bool = False

    def __str__(self) -> str:
        return self.name

    def reason(self, rule: str) -> str | None:
        """Why `attach` must refuse `rule`, as a regular expression, or None if it must not."""
        family = "cuts" if rule in CUTTING else "fa" if rule in FEEDBACK_ALIGNMENT else rule
        return self.refused.get(rule, self.refused.get(family))

    def weights(self, model: nn.Module, patterns: tuple[str, ...]) -> list[str]:
        """The names of the weights of `model` that match `patterns`. Every pattern must match one."""
        named = [name for name, parameter in model.named_parameters() if parameter.dim() > 1]
        for pattern in patterns:
            assert any(fnmatchcase(name, pattern) for name in named), (pattern, named)
        return [name for name in named if any(fnmatchcase(name, pattern) for pattern in patterns)]


def classes(count: int, of: int) -> Tensor:
    """Targets (count,): 0, 1, .., of - 1, 0, 1, .."""
    return torch.arange(count) % of


def values(like: Tensor) -> Tensor:
    """Fixed numbers between 0 and 1, as targets of the shape and type of `like`."""
    return torch.linspace(0, 7, like.numel()).remainder(1).reshape(like.shape).to(like.dtype)


def halves(like: Tensor) -> Tensor:
    """Binary targets 0, 1, 0, 1, .. of the shape and type of `like`."""
    return (torch.arange(like.numel()) % 2).reshape(like.shape).to(like.dtype)


def reads_classes(reason: str = "class") -> dict[str, str]:
    """The refusals of a network that is not trained on classes: of the rules that read them."""
    return {"local": reason, "drtp": reason}

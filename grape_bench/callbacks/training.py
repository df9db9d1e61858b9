"""Shared by both callbacks: the networks of a training, its length, and the state of the rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from grape_bench.attachment import attached
from grape_bench.errors import UserError
from grape_bench.network.block import PREFIX, tensors_of
from grape_bench.network.network import Network
from grape_bench.rules.exact_steps import bare


def networks(model: nn.Module) -> list[Network]:
    """The networks of `model` and of the modules in it. Raises UserError if nothing is attached."""
    found = [network for module in model.modules() if (network := attached(module)) is not None]
    if not found:
        raise UserError(
            f"{type(model).__name__} has no learning rule, and neither has a module in it",
            hint='gb.attach(model, "dfa", example) before the training, or leave the callback out',
        )
    return list(dict.fromkeys(found))  # a compiled model and the module in it share a network


def only_network(model: nn.Module) -> Network:
    """The network of `model`. Raises UserError if nothing is attached, or several networks are."""
    found = networks(model)
    if len(found) > 1:
        raise UserError(
            f"{type(model).__name__} has {len(found)} networks, and one set of batches cannot be for all of them",
            hint="gb.alignment(net, batches, loss) for each",
        )
    return found[0]


def require_trained(found: Iterable[Network], optimizers: Iterable[torch.optim.Optimizer]) -> None:
    """Raise UserError if a rule owns parameters that no optimizer trains."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    for network in found:
        missing = [name for name, parameter in network.owned.named_parameters() if id(parameter) not in trained]
        if missing:
            raise UserError(
                f"{type(network.rule).__name__} owns parameters that the optimizer does not train: {missing[0]}"
                + (f" and {len(missing) - 1} more" if len(missing) > 1 else ""),
                hint="make the optimizer from net.parameter_groups()",
            )


@dataclass(frozen=True)
class Length:
    """The length of a training: mini-batches `per_epoch`, how many of them each update takes, and all `updates`.

    An epoch always ends with an update. Unknown numbers are infinite.
    """

    # Example: 10 mini-batches per epoch, 4 per update (so 3 updates per epoch, of 4 + 4 + 2) and 5 updates in all
    #   give 18 mini-batches: all 10 of the first epoch, and 4 + 4 of the second.

    per_epoch: float
    accumulate: int = 1
    updates: float = math.inf

    @property
    def updates_per_epoch(self) -> float:
        """The number of updates in a full epoch."""
        return math.ceil(self.per_epoch / self.accumulate) if math.isfinite(self.per_epoch) else math.inf

    @property
    def planned(self) -> int | None:
        """The number of mini-batches of the whole training, or None if unknown."""
        if math.isinf(self.updates):
            return None
        if math.isinf(self.per_epoch):
            return int(self.updates * self.accumulate)
        epochs, rest = divmod(self.updates, self.updates_per_epoch)
        return int(epochs * self.per_epoch + min(rest * self.accumulate, self.per_epoch))

    def accumulated(self, done: int) -> int:
        """The number of mini-batches in the update after `done` updates. There are fewer at the end of an epoch."""
        if math.isinf(self.per_epoch):
            return self.accumulate
        return int(min(self.accumulate, self.per_epoch - done % self.updates_per_epoch * self.accumulate))

    def begin_epoch(self, found: Iterable[Network], done: int) -> None:
        """Announce the epoch that begins after `done` updates to the rules. Does nothing if its length is unknown."""
        batches = min(self.per_epoch, (self.updates - done) * self.accumulate)
        if math.isfinite(batches):
            for network in found:
                network.begin_epoch(int(batches))


def states(found: Iterable[Network]) -> list[dict[str, Any]]:
    """The part of a checkpoint for each network: its `state_dict`, and which rule it has."""
    return [{**network.state_dict(), "class": _class(network)} for network in found]


def restore(found: Sequence[Network], saved: Sequence[dict[str, Any]]) -> None:
    """Resume from `states`. If a tensor of the model (not of the rule) is missing there, it keeps its value.

    Raises UserError if the states belong to other networks.
    """
    now, then = [_class(network) for network in found], [state["class"] for state in saved]
    try:
        if now != then:
            raise ValueError(f"it has {', '.join(then)}, not {', '.join(now)}")
        for network, state in zip(found, saved, strict=True):
            own = {name: tensor for name, tensor in tensors_of(network.model).items() if PREFIX not in name}
            network.load_state_dict({**state, "model": own | state["model"]})
    except (KeyError, ValueError) as error:
        raise UserError(
            f"the checkpoint is that of another model or rule: {error}",
            hint="attach the rule in the same way as in the training that wrote the checkpoint",
        ) from error


def _class(network: Network) -> str:
    """The class of the rule, together with that of any rule inside it."""
    outer, inner = type(network.rule).__name__, type(bare(network.rule)).__name__
    return outer if outer == inner else f"{outer}({inner})"

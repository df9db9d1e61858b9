"""What is profiled: a model on random samples, with a rule, taking ordinary steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench import models
from grape_bench.errors import UserError
from grape_bench.network.attach import attach
from grape_bench.network.lean import lean_step
from grape_bench.network.network import Network
from grape_bench.rules.make import make_rule
from grape_bench.train.evaluate import logits_of

LEAN, CHECKPOINT = "lean", "checkpoint"
ENDLESS = 10**6  # batches in an epoch: a profile has no end of one


@dataclass(frozen=True)
class Subject:
    """A model id with its arguments, the shape of a sample, and the batch size; SGD takes the steps."""

    model: str
    model_args: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (3, 32, 32)
    classes: int = 10
    batch_size: int = 64

    def network(self, rule: str, device: torch.device) -> Network:
        """The model with `rule` attached; the same weights for every rule."""
        torch.manual_seed(0)
        model = models.build(self.model, shape=self.shape, classes=self.classes, args=self.model_args).to(device)
        network = attach(model.train(), make_rule(rule), torch.randn(4, *self.shape, device=device))
        network.begin_epoch(ENDLESS)
        return network

    def batch(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Random inputs and labels."""
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.batch_size, *self.shape, generator=generator)
        labels = torch.randint(self.classes, (self.batch_size,), generator=generator)
        return inputs.to(device), labels.to(device)

    @staticmethod
    def forwards(rule: str) -> int:
        """How often a step of `rule` computes an activation."""
        return 2 if mode_of(rule)[1] else 1

    def loss_of(self, labels: Tensor) -> Callable[[Any], Tensor]:
        """Cross-entropy of what the model returns."""
        return lambda output: F.cross_entropy(logits_of(output, self.classes), labels)

    def stepper(self, rule: str, device: torch.device) -> tuple[Network, Callable[[], None]]:
        """The network, and a function that takes one training step.

        `RULE lean` trains block by block, `RULE checkpoint` with the model's own activation checkpointing. Raises
        UserError for a model that has none, or for another word.
        """
        name, mode = mode_of(rule)
        network = self.network(name, device)
        if mode == CHECKPOINT:
            checkpoint(network.model)
        inputs, labels = self.batch(device)
        loss_of = self.loss_of(labels)
        optimizer = torch.optim.SGD(network.model.parameters(), lr=1e-3)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss_of(network.model(inputs)).backward()
            optimizer.step()

        def lean() -> None:
            lean_step(network, ((inputs,), {}), loss_of, optimizer)

        return network, lean if mode == LEAN else step


def mode_of(rule: str) -> tuple[str, str]:
    """`"dfa lean"` as the rule's name and how its steps save memory ("" where they do not)."""
    name, _, mode = rule.partition(" ")
    if mode not in ("", LEAN, CHECKPOINT):
        raise UserError(f"unknown mode {mode!r} of rule {name!r}", allowed=f"{LEAN}, {CHECKPOINT}")
    return name, mode


def checkpoint(model: nn.Module) -> None:
    """Turn on the activation checkpointing that timm and transformers models bring along."""
    if callable(enable := getattr(model, "set_grad_checkpointing", None)):
        enable(True)
    elif callable(enable := getattr(model, "gradient_checkpointing_enable", None)):
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        raise UserError(f"{type(model).__name__} has no activation checkpointing", hint="a timm or transformers model")

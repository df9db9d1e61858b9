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

    def steps(self, rule: str, device: torch.device) -> Steps:
        """Training steps on one batch.

        `RULE lean` trains block by block, `RULE checkpoint` with the model's own activation checkpointing. Raises
        UserError for a model that has none, or for another word.
        """
        name, mode = mode_of(rule)
        network = self.network(name, device)
        if mode == CHECKPOINT:
            checkpoint(network.model)
        inputs, labels = self.batch(device)
        return Steps(network, torch.optim.SGD(network.model.parameters(), lr=1e-3), self, inputs, labels, mode == LEAN)


@dataclass(frozen=True)
class Steps:
    """A network and what trains it on the batch `inputs`, `labels` of its subject."""

    network: Network
    optimizer: torch.optim.Optimizer
    subject: Subject
    inputs: Tensor
    labels: Tensor
    lean: bool

    def take(self) -> None:
        """One training step."""
        if self.lean:
            lean_step(self.network, ((self.inputs,), {}), self.subject.loss_of(self.labels), self.optimizer)
        else:
            self.credit(self.forward(self.inputs, self.labels))
            self.update()

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss, of gradients emptied; not of lean steps, which have no phases."""
        self.optimizer.zero_grad(set_to_none=True)
        return self.subject.loss_of(labels)(self.network.model(inputs))

    def credit(self, loss: Tensor) -> None:
        """Its gradients, as the rule gives them."""
        loss.backward()

    def update(self) -> None:
        """SGD's step."""
        self.optimizer.step()


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

"""The training loop: the same ordinary steps for every learning rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from grape_bench.data.dataset import DataSet
from grape_bench.network.network import Network
from grape_bench.train.clock import Clock
from grape_bench.train.evaluate import evaluate, logits_of

Row = dict[str, float]
"""One line of curve.csv: epoch, samples, seconds, train_loss, validation_loss, validation_accuracy."""


class LossNotFiniteError(Exception):
    """The training loss became infinite or NaN at a step of an epoch (both count from 1)."""

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        super().__init__(f"the loss was {loss} at step {step} of epoch {epoch}")
        self.epoch, self.step = epoch, step


@dataclass
class Trainer:
    """What the steps of one run share; `order` draws the order of the samples and their augmentation."""

    network: Network
    data: DataSet
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    batch_size: int
    order: torch.Generator
    clock: Clock

    def train(self, epochs: int, on_epoch: Callable[[Row], None]) -> None:
        """`epochs` epochs with a validation after each; raises LossNotFiniteError at the end of a bad epoch."""
        per_epoch = self.data.train.batch_count(self.batch_size)
        samples = 0
        for epoch in range(1, epochs + 1):
            self.network.model.train()
            self.network.begin_epoch(per_epoch)
            with self.clock.running():
                losses, seen = self.steps(self.data.train.batches(self.batch_size, generator=self.order))
            samples += seen
            mean = _finite_mean(losses, epoch)
            score = evaluate(self.network.model, self.data.validation, self.data.classes, self.batch_size)
            on_epoch(
                {
                    "epoch": epoch,
                    "samples": samples,
                    "seconds": self.clock.seconds,
                    "train_loss": mean,
                    "validation_loss": score.loss,
                    "validation_accuracy": score.accuracy,
                }
            )

    def steps(self, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], int]:
        """One optimizer step a batch; the losses stay on the device, so that no step waits for it."""
        losses, samples = [], 0
        for inputs, labels in batches:
            losses.append(self.step(inputs, labels))
            samples += len(labels)
        return losses, samples

    def step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward, update; the detached loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(logits_of(self.network.model(inputs), self.data.classes), labels)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()


def _finite_mean(losses: list[Tensor], epoch: int) -> float:
    values = torch.stack(losses).double()
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        step = int(bad[0])
        raise LossNotFiniteError(epoch, step + 1, values[step].item())
    return values.mean().item()

"""The training loop: the same ordinary steps for every learning rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from grape_bench.cost.clock import Clock
from grape_bench.data.dataset import DataSet, Split
from grape_bench.network.network import Network
from grape_bench.network.trace import logits_of
from grape_bench.train import data_parallel
from grape_bench.train.evaluate import Score, evaluate
from grape_bench.train.precision import Precision
from grape_bench.train.random_state import random_state, set_random_state

Row = dict[str, float]
"""One line of curve.csv: epoch, samples, seconds, train_loss, validation_loss, validation_accuracy."""


class LossNotFiniteError(Exception):
    """The training loss became infinite or NaN at a step of an epoch (both count from 1)."""

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        super().__init__(f"the loss was {loss} at step {step} of epoch {epoch}")
        self.epoch, self.step = epoch, step


class Observer:
    """Is told how a training goes, and changes nothing of it; each method does nothing unless overridden.

    Observers are told in their order in `trainer.observers`; `trainer.position` says how much is done. `step_begins`
    and `step_done` are called while the clock runs, so that a step need not wait for the device: work that takes
    time belongs in `with trainer.clock.paused()`. After a step and after an epoch `trainer.state_dict()` is whole.
    """

    def training_begins(self, trainer: Trainer) -> None:
        """Once in each process, before its first step; a resumed training does not stand at the beginning."""

    def epoch_begins(self, trainer: Trainer) -> None:
        """Before an epoch's first step."""

    def step_begins(self, trainer: Trainer, inputs: Tensor, labels: Tensor) -> None:
        """Before the forward on this batch."""

    def step_done(self, trainer: Trainer) -> None:
        """After the optimizer's step."""

    def epoch_ends(self, trainer: Trainer) -> None:
        """After an epoch and its validation, whose numbers are `trainer.rows[-1]`; the clock stands still."""

    def state(self) -> dict[str, Any]:
        """What it needs to go on after an interruption: numbers, strings, tensors and containers of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned before the interruption."""


@dataclass
class Position:
    """How much is done: whole epochs, steps of the next one, and samples in all."""

    epochs: int = 0
    steps: int = 0
    samples: int = 0


@dataclass
class Trainer:
    """What the steps of one run share; `order` draws the order of the samples and their augmentation."""

    network: Network
    data: DataSet
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR | None  # none: a constant rate
    batch_size: int
    order: torch.Generator
    clock: Clock
    precision: Precision = field(default_factory=Precision)
    observers: list[Observer] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    losses: list[Tensor] = field(default_factory=list)  # of the epoch under way
    epoch_order: Tensor | None = None  # where `order` stood when that epoch began

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return self.data.train.batch_count(self.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps done in all."""
        return self.position.epochs * self.steps_per_epoch + self.position.steps

    def train(self, epochs: int) -> None:
        """From `position` up to `epochs` epochs in all; raises LossNotFiniteError at the end of a bad epoch."""
        for observer in self.observers:
            observer.training_begins(self)
        while self.position.epochs < epochs:
            self.network.model.train()
            if self.position.steps == 0:
                self._begin_epoch()
            with self.clock.running():
                self._steps()
            self._end_epoch()

    def step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward, update; the detached loss, which stays on the device, so that no step waits for it."""
        loss = self.forward(inputs, labels)
        self.credit(loss)
        self.update()
        return loss.detach()

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The loss, of gradients emptied."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision.forward():
            return self.loss_of(self.network.model(inputs), labels)

    def credit(self, loss: Tensor) -> None:
        """Its gradients, as the rule gives them."""
        self.precision.backward(loss)
        data_parallel.average_gradients(self.network.model.parameters())

    def update(self) -> None:
        """The optimizer's step, and the schedule's."""
        self.precision.step(self.optimizer)
        if self.schedule:
            self.schedule.step()

    def evaluate(self, split: Split) -> Score:
        """Loss and accuracy on `split`, in the arithmetic of the training."""
        with self.precision.forward():
            return evaluate(self.network.model, split, self.data.classes, self.batch_size)

    def loss_of(self, output: Any, labels: Tensor) -> Tensor:
        """The loss of what the model returned."""
        return F.cross_entropy(logits_of(output, self.data.classes), labels)

    def state_dict(self) -> dict[str, Any]:
        """All that the training needs to go on from here to the bit, with the clock paused: tensors and plain data."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "precision": self.precision.state_dict(),
            # A pass is drawn whole when its epoch begins; in mid-epoch it is drawn again and its first steps skipped.
            "order": self.epoch_order if self.position.steps else self.order.get_state(),
            "random": random_state(self.clock.device),
            "position": asdict(self.position),
            "losses": list(self.losses),
            "rows": list(self.rows),
            "seconds": self.clock.seconds,
            "observers": {type(observer).__name__: observer.state() for observer in self.observers},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned in another process; an observer that was not there begins anew."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.precision.load_state_dict(state["precision"])
        self.order.set_state(state["order"])
        self.epoch_order = state["order"]
        self.position = Position(**state["position"])
        self.losses = [loss.to(self.clock.device) for loss in state["losses"]]
        self.rows = list(state["rows"])
        self.clock.seconds = state["seconds"]
        for observer in self.observers:
            if type(observer).__name__ in state["observers"]:
                observer.load_state(state["observers"][type(observer).__name__])
        set_random_state(state["random"], self.clock.device)

    def _begin_epoch(self) -> None:
        self.epoch_order = self.order.get_state()
        self.network.begin_epoch(self.steps_per_epoch)
        for observer in self.observers:
            observer.epoch_begins(self)

    def _steps(self) -> None:
        done = self.position.steps
        for inputs, labels in self.data.train.batches(self.batch_size, generator=self.order, skip=done):
            for observer in self.observers:
                observer.step_begins(self, inputs, labels)
            self.losses.append(self.step(inputs, labels))
            self.position.steps += 1
            self.position.samples += len(labels) * data_parallel.size()
            for observer in self.observers:
                observer.step_done(self)

    def _end_epoch(self) -> None:
        mean = _finite_mean(self.losses, self.position.epochs + 1)
        score = self.evaluate(self.data.validation)
        self.position.epochs += 1
        self.position.steps = 0
        self.losses.clear()
        self.rows.append(
            {
                "epoch": self.position.epochs,
                "samples": self.position.samples,
                "seconds": self.clock.seconds,
                "train_loss": mean,
                "validation_loss": score.loss,
                "validation_accuracy": score.accuracy,
            }
        )
        for observer in self.observers:
            observer.epoch_ends(self)


def _finite_mean(losses: list[Tensor], epoch: int) -> float:
    values = data_parallel.mean(torch.stack(losses).double())
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        step = int(bad[0])
        raise LossNotFiniteError(epoch, step + 1, values[step].item())
    return values.mean().item()

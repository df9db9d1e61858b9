"""The training loop: the same ordinary steps for every learning rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from grape_bench.cost.clock import Clock
from grape_bench.data.dataset import DataSet, Split
from grape_bench.network.modes import Modes
from grape_bench.network.network import Network
from grape_bench.network.trace import Batch
from grape_bench.objectives.objective import Objective
from grape_bench.train import data_parallel
from grape_bench.train.evaluate import Score, evaluate
from grape_bench.train.precision import Precision
from grape_bench.train.random_state import random_state, set_random_state

Row = dict[str, float]
"""One line of curve.csv: epoch, samples, seconds, train_loss, validation_loss, validation_METRIC."""


class LossNotFiniteError(Exception):
    """The training loss became infinite or NaN at a step of an epoch (both count from 1)."""

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        super().__init__(f"the loss was {loss} at step {step} of epoch {epoch}")
        self.epoch, self.step = epoch, step


class Observer:
    """Follows a training and changes nothing. Every method does nothing unless overridden.

    The loop calls observers in the order of `trainer.observers`; `trainer.position` is the progress. `step_begins` and
    `step_done` are called while the clock runs, so that a step does not wait for the device. Work that takes time
    belongs in `with trainer.clock.paused()`. After a step and after an epoch, `trainer.state_dict()` is complete.
    """

    def training_begins(self, trainer: Trainer) -> None:
        """Called once per process, before its first step. A resumed training does not start at step 0."""

    def epoch_begins(self, trainer: Trainer) -> None:
        """Called before an epoch's first step."""

    def step_begins(self, trainer: Trainer, batch: Batch, target: Tensor) -> None:
        """Called before the forward on this batch."""

    def step_done(self, trainer: Trainer) -> None:
        """Called after the optimizer's step."""

    def epoch_ends(self, trainer: Trainer) -> None:
        """Called after an epoch and its validation (`trainer.rows[-1]`), while the clock is stopped."""

    def state(self) -> dict[str, Any]:
        """Return what a resume needs: numbers, strings, tensors and containers of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""


@dataclass
class Position:
    """Progress: complete epochs, steps of the current epoch, and samples in total."""

    epochs: int = 0
    steps: int = 0
    samples: int = 0


@dataclass
class Trainer:
    """The state of one training. `order` draws the order of the samples and their augmentation.

    `modes` are those in which the model trains, as they were when the trainer was made.
    """

    network: Network
    data: DataSet
    objective: Objective  # bound to the data
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR | None  # None for a constant rate
    batch_size: int
    order: torch.Generator
    clock: Clock
    precision: Precision = field(default_factory=Precision)
    observers: list[Observer] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    losses: list[Tensor] = field(default_factory=list)  # of the current epoch
    epoch_order: Tensor | None = None  # state of `order` when that epoch began

    def __post_init__(self) -> None:
        self.modes = Modes(self.network.model)

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch."""
        return self.data.train.batch_count(self.batch_size)

    @property
    def total_steps(self) -> int:
        """Steps done so far."""
        return self.position.epochs * self.steps_per_epoch + self.position.steps

    def train(self, epochs: int) -> None:
        """Train from `position` to `epochs` epochs. Raises LossNotFiniteError at the end of a bad epoch."""
        for observer in self.observers:
            observer.training_begins(self)
        while self.position.epochs < epochs:
            self.modes.train()
            if self.position.steps == 0:
                self._begin_epoch()
            with self.clock.running():
                self._steps()
            self._end_epoch()

    def step(self, batch: Batch, target: Tensor) -> Tensor:
        """Run forward, backward and update. The detached loss stays on the device, so that no step waits for it."""
        loss = self.forward(batch, target)
        self.backward(loss)
        self.update()
        return loss.detach()

    def forward(self, batch: Batch, target: Tensor) -> Tensor:
        """Clear the gradients and return the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss_of = partial(self.loss_of, target=target)
        self.network.inform(loss_of, target)
        args, kwargs = batch
        with self.precision.forward():
            return loss_of(self.network.model(*args, **kwargs))

    def backward(self, loss: Tensor) -> None:
        """Run the backward, in which the rule fills the gradients."""
        self.network.loss_scale = self.precision.loss_scale
        self.precision.backward(loss)
        self.network.inform(None)
        data_parallel.average_gradients(self.network.parameters())

    def update(self) -> None:
        """Step the optimizer and the schedule."""
        self.precision.step(self.optimizer)
        if self.schedule:
            self.schedule.step()

    def evaluate(self, split: Split, *, with_error: bool = False) -> Score:
        """Loss and metric on `split`, in the precision of the training. `with_error` adds the standard error."""
        with self.precision.forward():
            return evaluate(self.network.model, split, self.objective, self.batch_size, with_error=with_error)

    def loss_of(self, output: Any, target: Tensor) -> Tensor:
        """The loss of what the model returned."""
        return self.objective.loss(self.objective.scored(output, target), target)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resume to the bit needs: tensors and plain data. Call it with the clock paused."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "precision": self.precision.state_dict(),
            # An epoch's order is drawn at its start. A resume in mid-epoch draws it again and skips the steps done.
            "order": self.epoch_order if self.position.steps else self.order.get_state(),
            "random": random_state(self.clock.device),
            "position": asdict(self.position),
            "losses": list(self.losses),
            "rows": list(self.rows),
            "seconds": self.clock.seconds,
            "observers": {type(observer).__name__: observer.state() for observer in self.observers},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict` of another process. An observer without a state in it starts from scratch."""
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
        for batch, target in self.data.train.batches(self.batch_size, generator=self.order, skip=done):
            for observer in self.observers:
                observer.step_begins(self, batch, target)
            self.losses.append(self.step(batch, target))
            self.position.steps += 1
            self.position.samples += len(target) * data_parallel.size()
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
                f"validation_{self.objective.metric}": score.value,
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

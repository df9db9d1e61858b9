"""The training loop: the same ordinary steps for every learning rule."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from grape_bench.cost.clock import Clock
from grape_bench.data.dataset import DataSet, Example, Split
from grape_bench.network.modes import Modes
from grape_bench.network.network import Network
from grape_bench.network.trace import Batch
from grape_bench.objectives.objective import Objective
from grape_bench.record.table import validation_column
from grape_bench.train import data_parallel
from grape_bench.train.average import WeightAverage
from grape_bench.train.budget import Budget
from grape_bench.train.evaluate import Score, evaluate
from grape_bench.train.precision import Precision
from grape_bench.train.random_state import random_state, set_random_state

Row = dict[str, float]
"""One line of curve.csv: epoch, samples, seconds, train_loss, validation_loss, validation_METRIC.

`epoch` may be a fraction. A budget in steps, or evaluations every few steps, adds the column `step`.
"""


class LossNotFiniteError(Exception):
    """The training loss became infinite or NaN at a step of an epoch (both counted from 1)."""

    def __init__(self, epoch: int, step: int, loss: float) -> None:
        super().__init__(f"the loss was {loss} at step {step} of epoch {epoch}")
        self.epoch, self.step = epoch, step


class Observer:
    """Follows a training without changing it. Override the methods that you need. All others do nothing.

    The loop calls observers in the order of `trainer.observers`. `trainer.position` is the progress. The clock runs
    during `step_begins` and `step_done`, so that a step need not wait for the device. Put slow work in `with
    trainer.clock.paused()`. After a step and after an epoch, `trainer.state_dict()` is complete.

    A step is an optimizer step. If it accumulates several mini-batches, its gradients are those of all of them.
    """

    def training_begins(self, trainer: Trainer) -> None:
        """Called once per process, before its first step. A resumed training does not start at step 0."""

    def epoch_begins(self, trainer: Trainer) -> None:
        """Called before an epoch's first step."""

    def step_begins(self, trainer: Trainer, batch: Batch, target: Tensor) -> None:
        """Called before the forward on this batch, the first batch of the step."""

    def step_done(self, trainer: Trainer) -> None:
        """Called after the optimizer's step."""

    def evaluated(self, trainer: Trainer) -> None:
        """Called after an evaluation (`trainer.rows[-1]`), while the clock is stopped."""

    def epoch_ends(self, trainer: Trainer) -> None:
        """Called after a complete epoch and its evaluation, while the clock is stopped."""

    def state(self) -> dict[str, Any]:
        """Return what a resume needs: numbers, strings, tensors and containers of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from the result of `state`."""


@dataclass
class Position:
    """Progress: complete epochs, steps of the current epoch, and samples in total."""

    epochs: int = 0
    steps: int = 0
    samples: int = 0


@dataclass
class Trainer:
    """The state of one training. `order` draws the order of the samples and their augmentation.

    `modes` are the modes of the model when the trainer was made. The model trains in them.
    """

    network: Network
    data: DataSet
    objective: Objective  # bound to the data
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR | None  # None for a constant rate
    batch_size: int
    budget: Budget
    order: torch.Generator
    clock: Clock
    clip: float | None = None  # the largest allowed gradient norm
    average: WeightAverage | None = None  # scored instead of the weights
    precision: Precision = field(default_factory=Precision)
    observers: list[Observer] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    position: Position = field(default_factory=Position)
    losses: list[Tensor] = field(default_factory=list)  # of the steps since the last evaluation
    epoch_order: Tensor | None = None  # state of `order` when that epoch began

    def __post_init__(self) -> None:
        self.modes = Modes(self.network.model)
        self.network.planned_steps = self.budget.batches_in(self.budget.steps)

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch."""
        return self.budget.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Steps done so far."""
        return self.position.epochs * self.steps_per_epoch + self.position.steps

    def train(self) -> None:
        """Train from `position` to the end of the budget.

        Raises LossNotFiniteError at the evaluation after a bad step.
        """
        for observer in self.observers:
            observer.training_begins(self)
        while self.total_steps < self.budget.steps or self.losses:
            self.modes.train()
            if self.position.steps == 0:
                self._begin_epoch()
            with self.clock.running():
                self._steps()
            if self.position.steps == self.steps_per_epoch:
                self._end_epoch()

    def step(self, batch: Batch, target: Tensor, *more: Example) -> Tensor:
        """Run forward, backward and update. The detached loss stays on the device, so that no step waits for it.

        With `more` mini-batches, each has its own forward and backward. The update uses the mean of their gradients,
        and the result is the mean of their losses.
        """
        losses = []
        for number, example in enumerate(((batch, target), *more)):
            loss = self.forward(*example, accumulate=number > 0)
            self.backward(loss, share=1 + len(more))
            losses.append(loss.detach())
        self.update()
        return torch.stack(losses).mean() if more else losses[0]

    def forward(self, batch: Batch, target: Tensor, *, accumulate: bool = False) -> Tensor:
        """Return the loss. Clears the gradients first, unless they accumulate."""
        if not accumulate:
            self.optimizer.zero_grad(set_to_none=True)
        loss_of = partial(self.loss_of, target=target)
        self.network.inform(loss_of, target)
        args, kwargs = batch
        with self.precision.forward():
            return loss_of(self.network.model(*args, **kwargs))

    def backward(self, loss: Tensor, share: int = 1) -> None:
        """Run the backward of `loss` ÷ `share`, in which the rule computes the gradients."""
        self.network.loss_scale = self.precision.loss_scale if share == 1 else self.precision.loss_scale / share
        self.precision.backward(loss if share == 1 else loss / share)
        self.network.loss_scale = 1.0  # diagnostics run backwards of an unscaled loss
        self.network.inform(None)

    def update(self) -> None:
        """Average the gradients over the processes, clip them, and step the optimizer and the schedule.

        The parameters that the rule owns are clipped by their own norm, so that they never shorten the model's step.
        """
        data_parallel.average_gradients(self.network.parameters())
        if self.clip is not None:
            self.precision.unscale(self.optimizer)
            for module in (self.network.model, self.network.owned):
                nn.utils.clip_grad_norm_(module.parameters(), self.clip)
        self.precision.step(self.optimizer)
        if self.schedule:
            self.schedule.step()
        if self.average:
            self.average.update()

    def evaluate(self, split: Split, *, with_error: bool = False) -> Score:
        """Loss and metric on `split`, in the training precision. `with_error` adds the standard error."""
        with self.precision.forward(), self.scored_weights():
            return evaluate(self.network.model, split, self.objective, self.batch_size, with_error=with_error)

    def scored_weights(self) -> AbstractContextManager[None]:
        """The context in which the model has the weights to score: its own, or their average."""
        return self.average.applied() if self.average else nullcontext()

    def loss_of(self, output: Any, target: Tensor) -> Tensor:
        """The loss, given the model's output."""
        return self.objective.loss(self.objective.scored(output, target), target)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a bit-for-bit resume needs: tensors and plain data. Call it with the clock paused."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else {},
            "precision": self.precision.state_dict(),
            "average": self.average.state() if self.average else {},
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
        """Resume from the `state_dict` of another process. An observer without a saved state starts from scratch."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        self.precision.load_state_dict(state["precision"])
        if self.average:
            self.average.load_state(state["average"])
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
        self.network.begin_epoch(self.budget.batches_of_epoch(self.position.epochs))
        for observer in self.observers:
            observer.epoch_begins(self)

    def _steps(self) -> None:
        """The remaining steps of an epoch, with the evaluations between them."""
        if self.losses and self.budget.evaluates_after(self.total_steps):
            self._evaluate()  # the checkpoint was written after the step but before its evaluation
        done = self.position.steps * self.budget.accumulate
        batches = iter(self.data.train.batches(self.batch_size, generator=self.order, skip=done))
        while self.total_steps < self.budget.steps and (group := list(islice(batches, self.budget.accumulate))):
            (batch, target), *more = group
            for observer in self.observers:
                observer.step_begins(self, batch, target)
            self.losses.append(self.step(batch, target, *more))
            self.position.steps += 1
            self.position.samples += sum(len(target) for _, target in group) * data_parallel.size()
            for observer in self.observers:
                observer.step_done(self)
            if self.budget.evaluates_after(self.total_steps):
                self._evaluate()

    def _evaluate(self) -> None:
        with self.clock.paused():
            mean = self._finite_mean()
            score = self.evaluate(self.data.validation)
            self.losses.clear()
            epochs = self.budget.batches_in(self.total_steps) / self.budget.batches
            self.rows.append(
                {
                    "epoch": int(epochs) if epochs.is_integer() else epochs,
                    **({"step": self.total_steps} if self.budget.in_steps else {}),
                    "samples": self.position.samples,
                    "seconds": self.clock.seconds,
                    "train_loss": mean,
                    "validation_loss": score.loss,
                    validation_column(self.objective.metric): score.value,
                }
            )
            for observer in self.observers:
                observer.evaluated(self)

    def _end_epoch(self) -> None:
        self.position.epochs += 1
        self.position.steps = 0
        for observer in self.observers:
            observer.epoch_ends(self)

    def _finite_mean(self) -> float:
        """The mean loss since the last evaluation."""
        values = data_parallel.mean(torch.stack(self.losses).double())
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            index = int(bad[0])
            epoch, step = divmod(self.total_steps - len(values) + index, self.steps_per_epoch)
            raise LossNotFiniteError(epoch + 1, step + 1, values[index].item())
        return values.mean().item()

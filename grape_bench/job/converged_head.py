"""The best head on a model's features: what its output layer reaches when the layers below stay as they are.

On an untrained model it is the control `frozen`. On a trained model it says what the hidden layers have learned.
A head that is one linear layer on flat features is fitted to convergence. Any other head is trained by steps until
validation stops improving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from grape_bench.data.dataset import DataSet
from grape_bench.errors import UserError
from grape_bench.job.setup import EXAMPLE, budget_of, make_trainer
from grape_bench.network.block import load_tensors, tensors_of
from grape_bench.network.network import Network
from grape_bench.network.reach import HEAD
from grape_bench.record.job import Job
from grape_bench.train.best import BestWeights
from grape_bench.train.evaluate import Score
from grape_bench.train.head_features import features_of, gathered, linear_head, set_statistics
from grape_bench.train.head_fit import best_fit
from grape_bench.train.loop import LossNotFiniteError, Trainer
from grape_bench.train.plateau import Plateau

BUDGET, EVALUATIONS = 5, 20
"""A head that is trained by steps takes at most so many times the task's steps, with so many evaluations."""

RATES = (1e-3, 1e-2, 1e-1, 1.0)
"""The learning rates of Adam, of which the best after one evaluation is used.

So neither the scale of the features nor a rule's tuned settings decide how far its head gets.
"""


@dataclass(frozen=True)
class ConvergedHead:
    """The scores of a head, its mean training loss, and how it was made.

    `test` is None for a trial, `penalty` for a head that was trained by steps. `epochs` and `steps` count the passes
    over the training split and the optimizer's steps; a fit is one pass without steps.
    """

    validation: Score
    test: Score | None
    train_loss: float
    samples: int
    epochs: float = 1
    steps: int = 0
    penalty: float | None = None

    def features(self) -> dict[str, float] | None:
        """For the record: the scores and the penalty. None for a trial, and if a score is not finite."""
        if self.test is None or not (math.isfinite(self.test.value) and math.isfinite(self.validation.value)):
            return None
        found = {"test": self.test.value, "validation": self.validation.value}
        found |= {} if math.isnan(self.test.error) else {"test_error": self.test.error}
        return found if self.penalty is None else {**found, "penalty": self.penalty}


def converged_head(trainer: Trainer, job: Job) -> ConvergedHead:
    """Replace the head of the trainer's model by the best one, and score it. The model keeps the new head.

    Reads the test split once, unless the job is a trial. Raises LossNotFiniteError, and UserError for a network that is
    not cut, or whose head shares a weight with a block in a way that cannot be undone.
    """
    network, data, objective = trainer.network, trainer.data, trainer.objective
    if not network.blocks:
        raise UserError("the network has no cut, so no part of it is the head")
    if trainer.average:
        with trainer.scored_weights():
            scored = {name: tensor.clone() for name, tensor in tensors_of(network.model).items()}
        load_tensors(network.model, scored)
        trainer.average = None
    trainer.modes.train()
    with torch.compiler.set_stance("force_eager"):
        with trainer.precision.forward():
            set_statistics(network.model, data.train, trainer.batch_size)
            layer = linear_head(network, *next(iter(data.validation.batches(EXAMPLE))), objective)
        return _trained(network, job, data) if layer is None else _fitted(trainer, layer, job)


def features_of_training(trainer: Trainer, job: Job) -> dict[str, float]:
    """The record's `features` after a training. The trainer's model gets another head.

    Raises ArithmeticError if a score is not finite.
    """
    found = converged_head(trainer, job).features()
    if found is None:
        raise ArithmeticError("the score is not finite")
    return found


def _fitted(trainer: Trainer, layer: nn.Linear, job: Job) -> ConvergedHead:
    """The logistic or ridge regression on what `layer` reads, written into the layer."""
    model, data = trainer.network.model, trainer.data
    with trainer.precision.forward():
        train = gathered(features_of(model, layer, data.train, trainer.batch_size))
        validation = features_of(model, layer, data.validation, trainer.batch_size)
    fit = best_fit(train, validation, trainer.objective, bias=layer.bias is not None)
    fit.write(layer)
    return ConvergedHead(
        validation=trainer.evaluate(data.validation),
        test=None if job.trial is not None else trainer.evaluate(data.test, with_error=True),
        train_loss=fit.loss,
        samples=len(train.target),
        penalty=fit.penalty,
    )


def _trained(network: Network, job: Job, data: DataSet) -> ConvergedHead:
    """The model's own head, trained by steps on the layers below it in evaluation mode."""
    untie(network)
    network.detach()
    model = network.model
    start = {name: tensor.clone() for name, tensor in tensors_of(model).items()}
    whole = BUDGET * budget_of(job, data).steps
    every = max(1, whole // EVALUATIONS)

    def made(rate: float, steps: int) -> Trainer:
        load_tensors(model, start)
        model.eval()
        trainer = make_trainer(_job_of_head(job, rate, steps, every), model, data, "head-only", {})
        trainer.modes.frozen = list(model.modules())
        if left := tied(trainer.network):
            raise UserError(f"the head shares {left[0]!r} with a block, and has no module that could hold a copy")
        return trainer

    rate = min(RATES, key=lambda rate: _loss_after(made(rate, every)))
    trainer, best = made(rate, max(every, whole - len(RATES) * every)), BestWeights()
    trainer.observers += [best, Plateau(best)]
    trainer.train()
    row = best.restore(trainer)
    return ConvergedHead(
        validation=Score(row["validation_loss"], row[f"validation_{trainer.objective.metric}"]),
        test=None if job.trial is not None else trainer.evaluate(data.test, with_error=True),
        train_loss=row["train_loss"],
        samples=int(trainer.rows[-1]["samples"]),
        epochs=trainer.rows[-1]["epoch"],
        steps=trainer.total_steps,
    )


def _loss_after(trainer: Trainer) -> float:
    """The validation loss after the trainer's budget; infinite if it is not finite. Detaches the trainer's rule."""
    try:
        trainer.train()
        loss = trainer.rows[-1]["validation_loss"]
    except LossNotFiniteError:
        loss = math.inf
    trainer.network.detach()
    return loss if math.isfinite(loss) else math.inf


def _job_of_head(job: Job, rate: float, steps: int, every: int) -> Job:
    """The job that trains the head for `steps` steps, with an evaluation after `every` steps."""
    return replace(
        job,
        epochs=None,
        steps=steps,
        evaluate_every=every,
        optimizer={"name": "adam", "lr": rate},
        schedule="constant",
        schedule_args=None,
        warmup=0,
        decay="all",
        groups=None,
        ema=None,
        compile=False,
    )


def untie(network: Network) -> None:
    """Give the modules above the last cut their own copy of a weight that a block uses too: a tied embedding."""
    for name in tied(network):
        shared = network.model.get_parameter(name)
        for module in network.model.modules():
            for key, own in list(module._parameters.items()):
                if own is shared and not isinstance(module, nn.Embedding):
                    setattr(module, key, nn.Parameter(shared.detach().clone(), shared.requires_grad))


def tied(network: Network) -> list[str]:
    """The names of the weights that the head shares with a block."""
    below = set().union(*(names for segment, names in network.segments.items() if segment != HEAD))
    return sorted(network.segments[HEAD] & below)
